//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// process prepares this test binary for another role. It is killed if it takes too long.
func process(t *testing.T, role string, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), httptestutil.Bound)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), actAs+"="+role)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	return cmd, &out
}

func start(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
}

func TestTheFirstSignalEndsTheCommandAfterItsReport(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		arrived := make(chan struct{})
		w := httptestutil.NewWire(t, func(c *httptestutil.WireConn) {
			c.ReadRequest()
			close(arrived)
			_ = c.WaitClosed()
		})
		cmd, out := process(t, "command", "get", "-n", "3", w.URL())
		start(t, cmd)
		<-arrived
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // says what its exit code says
		if code := cmd.ProcessState.ExitCode(); code != exitInterrupted {
			t.Errorf("%v: exit code %d, want %d", sig, code, exitInterrupted)
		}
		wantIn(t, out.String(), "Interrupted. What was done so far:", "0 answered, 0 failed, 1 given up, 2 not sent")
	}
}

// linger is a program that takes no notice of its interruption.
func linger() {
	ctx := interruptible()
	fmt.Println("ready")
	<-ctx.Done()
	fmt.Println("interrupted")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func TestTheSecondSignalKills(t *testing.T) {
	cmd, _ := process(t, "lingerer")
	cmd.Stdout = nil
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	start(t, cmd)
	for _, said := range []string{"ready\n", "interrupted\n"} {
		b := make([]byte, len(said))
		if _, err := io.ReadFull(stdout, b); err != nil || string(b) != said {
			t.Fatalf("it said %q and %v, want %q", b, err, said)
		}
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
	}
	var ended *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &ended) {
		t.Fatalf("it ended with %v", err)
	}
	if ws, _ := ended.Sys().(syscall.WaitStatus); !ws.Signaled() || ws.Signal() != syscall.SIGINT {
		t.Errorf("it ended with %v, want an interrupt", ws)
	}
}
