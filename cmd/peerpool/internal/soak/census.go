package soak

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// census counts the resources that a run must release.
type census struct {
	goroutines  int
	descriptors map[string]string // description of each, by its number; nil if the system does not list them
}

func takeCensus() census { return census{runtime.NumGoroutine(), openDescriptors()} }

func openDescriptors() map[string]string {
	const dir = "/proc/self/fd"
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	open := make(map[string]string)
	for _, entry := range list {
		// The descriptor of the listing itself is closed by now.
		if what, err := os.Readlink(filepath.Join(dir, entry.Name())); err == nil {
			open[entry.Name()] = what
		}
	}
	return open
}

// waitForReturn waits, for a limited time, until there are no more resources than before. It describes what is left over,
// and returns "" if nothing is.
func (c census) waitForReturn(settle time.Duration) string {
	for end := time.Now().Add(settle); ; time.Sleep(10 * time.Millisecond) {
		now := takeCensus()
		if now.goroutines <= c.goroutines && len(now.descriptors) <= len(c.descriptors) {
			return ""
		}
		if time.Now().After(end) {
			return fmt.Sprintf("%d goroutines and %d descriptors, before: %d and %d%s",
				now.goroutines, len(now.descriptors), c.goroutines, len(c.descriptors), now.sockets(c))
		}
	}
}

// sockets describes the first sockets that are open and are not in c, as the kernel lists them.
func (c census) sockets(before census) string {
	table, err := os.ReadFile("/proc/self/net/tcp")
	if err != nil {
		return ""
	}
	var b strings.Builder
	for _, fd := range slices.Sorted(maps.Keys(c.descriptors)) {
		what := c.descriptors[fd]
		inode, ok := strings.CutPrefix(what, "socket:[")
		if !ok || before.descriptors[fd] == what || b.Len() > 2000 {
			continue
		}
		for line := range strings.Lines(string(table)) {
			if f := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' }); len(f) > 9 && f[9] == strings.TrimSuffix(inode, "]") {
				fmt.Fprintf(&b, "\n    %s to %s, state %s", f[1], f[2], f[3])
				what = ""
			}
		}
		if what != "" {
			fmt.Fprintf(&b, "\n    %s, which is connected to nothing", what)
		}
	}
	return b.String()
}
