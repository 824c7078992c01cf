package httptestutil

import (
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"
)

// A Script decides what one connection of a [Wire] gets. It runs on a
// goroutine of its own, and the connection is closed when it returns. Its
// reads and writes fail, and so end it, Bound after the connection was
// accepted or when the test ends; a script that waits for the test does so
// with [WireConn.Await].
type Script func(c *WireConn)

// WireOptions says how a [Wire] is to listen. The zero value is a plain TCP
// server on 127.0.0.1.
type WireOptions struct {
	Network  string        // "tcp4", which is also what "" stands for, "tcp6" or "unix"
	Listener net.Listener  // if set, used in place of a new one, and closed at the end
	CA       *CA           // if set, the server speaks TLS; see OriginOptions
	TLS      *tls.Config   // if set, the server speaks TLS; see OriginOptions
	Bound    time.Duration // how long a connection may last; 0 stands for Bound
}

// Wire is a server scripted byte by byte, and a connection monitor: it tells
// which connections a client opened, and which of them the client closed.
// It is safe for concurrent use.
type Wire struct {
	t      testing.TB
	opts   WireOptions
	script Script
	ln     net.Listener
	tls    *tls.Config
	ca     *CA
	tr     *tracker
	ended  chan struct{} // closed when the test ends
	end    sync.Once
	wg     sync.WaitGroup // the accept loop and the scripts

	// Guarded by tr.mu.
	requests int
	closings map[int]error // by number of connection: how the client closed it, nil for in order
}

// NewWire starts a plain server on 127.0.0.1 that runs script on every
// connection. The end of the test closes it.
func NewWire(t testing.TB, script Script) *Wire {
	t.Helper()
	return NewWireWith(t, WireOptions{}, script)
}

// NewWireWith is NewWire with options.
func NewWireWith(t testing.TB, opts WireOptions, script Script) *Wire {
	t.Helper()
	w := &Wire{
		t: t, opts: opts, script: script,
		tr:       newTracker(),
		ended:    make(chan struct{}),
		closings: map[int]error{},
	}
	if w.opts.Network == "" {
		w.opts.Network = "tcp4"
	}
	if w.opts.Bound == 0 {
		w.opts.Bound = Bound
	}
	w.tls, w.ca = serverTLS(t, opts.CA, opts.TLS)
	ln := opts.Listener
	if ln == nil {
		ln = listen(t, w.opts.Network)
	}
	w.ln = w.tr.listen(ln)
	w.wg.Go(w.accept)
	t.Cleanup(w.Close)
	return w
}

// accept ends when the listener is closed.
func (w *Wire) accept() {
	for {
		nc, err := w.ln.Accept()
		if err != nil {
			return
		}
		c := newWireConn(w, nc.(*trackedConn))
		w.wg.Go(func() {
			defer c.Close()
			w.script(c)
		})
	}
}

// URL returns the server's base URL without a slash at its end; see
// [Origin.URL] for a server on a Unix socket or on a listener of the caller's.
func (w *Wire) URL() string {
	host := w.Addr()
	if w.opts.Network == "unix" || w.opts.Listener != nil {
		host = "example.test"
	}
	if w.tls != nil {
		return "https://" + host
	}
	return "http://" + host
}

// Addr returns the server's "ip:port", or the path of its socket.
func (w *Wire) Addr() string { return w.ln.Addr().String() }

// CA returns the authority that the server was given or made for itself; nil
// if neither.
func (w *Wire) CA() *CA { return w.ca }

// ClientTLS returns a new client configuration that trusts the server's
// authority and nothing else; nil if CA is.
func (w *Wire) ClientTLS() *tls.Config {
	if w.ca == nil {
		return nil
	}
	return &tls.Config{RootCAs: w.ca.Pool()}
}

// Conns returns how many connections have been accepted so far.
func (w *Wire) Conns() int { return w.tr.acceptedConns() }

// OpenConns returns how many connections the server has open: those whose
// script is running.
func (w *Wire) OpenConns() int { return w.tr.openConns() }

// Requests returns how many requests the scripts have read so far.
func (w *Wire) Requests() int {
	w.tr.mu.Lock()
	defer w.tr.mu.Unlock()
	return w.requests
}

// ClientClosed reports whether the client has been seen to close connection
// n, from 1. Only a script that reads sees it: in ReadRequest, ReadHead or
// WaitClosed.
func (w *Wire) ClientClosed(n int) bool {
	w.tr.mu.Lock()
	defer w.tr.mu.Unlock()
	_, closed := w.closings[n]
	return closed
}

// WaitClientClosed waits until the client has been seen to close connection
// n, from 1, and ends the test if that does not happen within Bound. It
// returns what [WireConn.WaitClosed] would: nil if the client closed in order.
// Only the test's goroutine may call it.
func (w *Wire) WaitClientClosed(n int) error {
	w.t.Helper()
	var err error
	w.tr.waitFor(w.t, fmt.Sprintf("connection %d closed by the client", n), func() (ok bool) {
		err, ok = w.closings[n]
		return ok
	})
	return err
}

// WaitOpenConns waits until exactly n connections are open, and ends the test
// if that does not happen within Bound. Only the test's goroutine may call it.
func (w *Wire) WaitOpenConns(n int) {
	w.t.Helper()
	w.tr.waitOpenConns(w.t, n)
}

// WaitRequests waits until the scripts have read n requests at least, and ends
// the test if that does not happen within Bound. Only the test's goroutine may
// call it.
func (w *Wire) WaitRequests(n int) {
	w.t.Helper()
	w.tr.waitFor(w.t, fmt.Sprintf("%d requests", n), func() bool { return w.requests >= n })
}

// Close ends the server, its connections and its scripts. A script that is
// still running after Bound fails the test. Close is called at the end of the
// test; calling it more than once is harmless.
func (w *Wire) Close() {
	w.end.Do(func() {
		close(w.ended)
		w.ln.Close()
	})
	w.tr.shutDown()
	ended := make(chan struct{})
	go func() {
		w.wg.Wait()
		close(ended)
	}()
	giveUp := time.NewTimer(Bound)
	defer giveUp.Stop()
	select {
	case <-ended:
	case <-giveUp.C:
		w.t.Errorf("httptestutil: a script is still running %v after its connection was closed", Bound)
	}
}
