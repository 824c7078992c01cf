package server

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// startWithin limits the time from the start of a server until it is ready. stopWithin limits the time from the signal until
// the server has ended. After that, it is killed.
const (
	startWithin = time.Minute
	stopWithin  = 10 * time.Second
)

// Process is a running server. Its methods are safe for concurrent use.
type Process struct {
	name   string
	cmd    *exec.Cmd
	output output
	exited chan struct{} // closed by the goroutine that waits for the process
	exit   error         // why it ended; may be read once exited is closed
}

// Start runs a command and calls ready until that returns nil, which means that the server answers. ctx limits only this wait.
// [Process.Stop] ends the server.
func Start(ctx context.Context, cmd *exec.Cmd, ready func(context.Context) error) (*Process, error) {
	p := &Process{name: cmd.Args[0], cmd: cmd, exited: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.output, &p.output
	endWithParent(cmd)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() { // ends with the process
		defer close(p.exited)
		p.exit = cmd.Wait()
	}()
	if err := p.await(ctx, ready); err != nil {
		p.Stop()
		return nil, fmt.Errorf("%s: %w\n%s", p.name, err, p.Output())
	}
	return p, nil
}

// await calls ready until it returns nil, the process has ended, or the time is over.
func (p *Process) await(ctx context.Context, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.exited:
			return fmt.Errorf("it ended before it was ready: %w", errors.Join(p.exit, err))
		case <-ctx.Done():
			return fmt.Errorf("it is not ready: %w", errors.Join(ctx.Err(), err))
		case <-again.C:
		}
	}
}

// Stop ends the server with SIGTERM: see [Process.StopWith].
func (p *Process) Stop() { p.StopWith(syscall.SIGTERM) }

// StopWith sends a signal to the server and waits until the server has ended. It kills the server after ten seconds.
func (p *Process) StopWith(s os.Signal) {
	if err := p.cmd.Process.Signal(s); err != nil {
		_ = p.cmd.Process.Kill() // the system has no signals, or the server is gone already
	}
	giveUp := time.NewTimer(stopWithin)
	defer giveUp.Stop()
	select {
	case <-p.exited:
	case <-giveUp.C:
		_ = p.cmd.Process.Kill() // fails only if it has just ended
		<-p.exited
	}
}

// Output returns the end of what the server has printed.
func (p *Process) Output() string { return p.output.String() }

// FreeAddr returns an address on loopback on which no program listens now. Its port is none that the system gives to a socket
// that asks for any, so it is still free when a server begins to listen.
func FreeAddr() (string, error) {
	var failure error
	for range 100 {
		ln, err := net.Listen("tcp4", fmt.Sprint("127.0.0.1:", 11_000+rand.IntN(20_000)))
		if err == nil {
			return ln.Addr().String(), ln.Close()
		}
		failure = err
	}
	return "", failure
}

// Listening returns a readiness check: addr accepts connections.
func Listening(addr string) func(context.Context) error {
	return func(ctx context.Context) error {
		var d net.Dialer
		nc, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		return nc.Close()
	}
}

// Answering returns a readiness check: a GET of url is answered with 200.
func Answering(url string) func(context.Context) error {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		if err := resp.Body.Close(); err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("GET %s: %s", url, resp.Status)
		}
		return nil
	}
}

// output keeps the last few kilobytes that are written to it.
type output struct {
	mu   sync.Mutex // guards text
	text []byte
}

func (o *output) Write(p []byte) (int, error) {
	const most = 16 << 10
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, p...)
	if extra := len(o.text) - most; extra > 0 {
		o.text = append(o.text[:0], o.text[extra:]...)
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text)
}
