package peerpool_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// These helpers run real servers, for the tests that hold the Transport against them. A server that is not
// installed skips its test, unless PEERPOOL_REQUIRE_SERVERS=1 says that this would be a mistake.

// installed returns the path of a program, or ends the test.
func installed(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err == nil {
		return path
	}
	if os.Getenv("PEERPOOL_REQUIRE_SERVERS") == "1" {
		t.Fatalf("%s is not installed, and PEERPOOL_REQUIRE_SERVERS=1", program)
	}
	t.Skipf("%s is not installed: the Transport is not held against it", program)
	return ""
}

// freeAddr returns an address on loopback that nobody listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// configFile writes a configuration, indented for reading, to where any user may read it.
func configFile(t *testing.T, name, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // the server may give its privileges up
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(strings.TrimSpace(text)+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// runServer runs a server until the test ends, and returns when it listens on addr.
func runServer(t *testing.T, addr string, program string, args ...string) {
	t.Helper()
	var output bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	var exit error
	go func() {
		defer close(exited)
		exit = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // fails only if it is gone already
		giveUp := time.NewTimer(httptestutil.Bound)
		defer giveUp.Stop()
		select {
		case <-exited:
		case <-giveUp.C:
			_ = cmd.Process.Kill()
			<-exited
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", program, &output)
		}
	})
	eventually(t, program+" listens", func() bool {
		select {
		case <-exited:
			t.Fatalf("%s ended: %v\n%s", program, exit, &output)
		default:
		}
		nc, err := net.Dial("tcp", addr)
		if err == nil {
			nc.Close()
		}
		return err == nil
	}, func() any { return addr })
}

// bursts is a load that comes and goes: callers send requests one after the other, all pause together for about
// as long as the server keeps an idle connection, and start again.
type bursts struct {
	callers, each, times int
	pause                time.Duration // give or take some milliseconds
	request              func(caller int) *http.Request
	check                func(body string) error
}

// run returns how many requests were sent. The test fails with each that is lost.
func (b bursts) run(s *subject) int {
	s.t.Helper()
	var sent atomic.Int64
	for burst := range b.times {
		var wg sync.WaitGroup
		for caller := range b.callers {
			if burst > 0 { // whoever comes a little early or late meets a server that is about to close
				offset := time.Duration((caller*7+burst*3)%21-10) * time.Millisecond / 2
				wg.Go(func() {
					<-time.After(b.pause + offset)
					sent.Add(int64(b.call(s, caller)))
				})
				continue
			}
			wg.Go(func() { sent.Add(int64(b.call(s, caller))) })
		}
		wg.Wait()
	}
	return int(sent.Load())
}

func (b bursts) call(s *subject, caller int) int {
	for n := range b.each {
		body, err := s.try(b.request(caller))
		if err == nil && b.check != nil {
			err = b.check(body)
		}
		if err != nil {
			s.t.Errorf("caller %d, request %d: %v", caller, n, err)
			return n
		}
	}
	return b.each
}

// fewer makes a load bearable for go test -short.
func (b bursts) fewer() bursts {
	if testing.Short() {
		b.each, b.times = b.each/4+1, 2
	}
	return b
}

// numbersOf parses the number of a connection, and of the request on it.
func numbersOf(body string) (conn, seq int, err error) {
	if n, err := fmt.Sscan(body, &conn, &seq); n != 2 {
		return 0, 0, errors.Join(err, fmt.Errorf("the server answered %.100q", body))
	}
	return conn, seq, nil
}
