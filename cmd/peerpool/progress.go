package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	liveInterval  = 100 * time.Millisecond
	plainInterval = 5 * time.Second
)

// progress shows how far a task is. If w is a terminal, it rewrites one line. Otherwise it writes a line every few
// seconds. It ignores errors of w, because nothing depends on what it shows.
type progress struct {
	w     io.Writer
	live  bool
	width int // of the text that stands on the line; belongs to the goroutine of follow while that runs
}

// follow shows text at intervals until stop is called, which removes the line. It waits for one interval first, so a short
// task shows nothing.
func (p *progress) follow(text func() string) (stop func()) {
	ended := make(chan struct{})
	var shower sync.WaitGroup
	shower.Go(func() {
		interval := plainInterval
		if p.live {
			interval = liveInterval
		}
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				p.show(text())
			case <-ended:
				return
			}
		}
	})
	return func() {
		close(ended)
		shower.Wait()
		p.erase()
	}
}

func (p *progress) show(text string) {
	if !p.live {
		_, _ = fmt.Fprintln(p.w, text)
		return
	}
	blank := strings.Repeat(" ", max(0, p.width-len(text)))
	_, _ = fmt.Fprint(p.w, "\r", text, blank)
	p.width = len(text)
}

func (p *progress) erase() {
	if p.width > 0 {
		_, _ = fmt.Fprint(p.w, "\r", strings.Repeat(" ", p.width), "\r")
		p.width = 0
	}
}

// note writes a line that stays. On a terminal it writes nothing, because the line there has shown the same.
func (p *progress) note(text string) {
	if !p.live {
		_, _ = fmt.Fprintln(p.w, text)
	}
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
