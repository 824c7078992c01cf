package httptestutil

import (
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"
)

// A Script decides what the server sends on one connection of a [Wire]. It
// runs on a goroutine of its own, and the connection is closed when it
// returns. The script's reads and writes fail, and thereby end it, when Bound
// has passed since the connection was accepted, or when the test ends. To
// wait for the test, a script calls [WireConn.Await].
type Script func(c *WireConn)

// WireOptions describes how a [Wire] listens. The zero value describes a
// plain TCP server on 127.0.0.1.
type WireOptions struct {
	Network  string        // "tcp4", "tcp6" or "unix"; "" means "tcp4"
	Listener net.Listener  // if set, used in place of a new listener, and closed at the end of the test
	CA       *CA           // if set, the server speaks TLS; see OriginOptions
	TLS      *tls.Config   // if set, the server speaks TLS; see OriginOptions
	Bound    time.Duration // how long a connection may last; 0 means the constant Bound
}

// Wire is a server whose answers a [Script] decides byte by byte. It also
// reports which connections a client has opened, and which of them the client
// has closed. It is safe for concurrent use.
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

// NewWire starts a plain TCP server on 127.0.0.1 that runs script on every
// connection. It is closed at the end of the test.
func NewWire(t testing.TB, script Script) *Wire {
	t.Helper()
	return NewWireWith(t, WireOptions{}, script)
}

// NewWireWith does what NewWire does, with options.
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

// accept accepts connections until the listener is closed.
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

// URL returns the server's base URL without a slash at its end. For a server
// on a Unix socket or on a listener of the caller, see [Origin.URL].
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

// CA returns the authority that the server was given or has created, or nil
// if there is none.
func (w *Wire) CA() *CA { return w.ca }

// ClientTLS returns a new client configuration that trusts only the server's
// authority. It returns nil if CA returns nil.
func (w *Wire) ClientTLS() *tls.Config {
	if w.ca == nil {
		return nil
	}
	return &tls.Config{RootCAs: w.ca.Pool()}
}

// Conns returns how many connections have been accepted so far.
func (w *Wire) Conns() int { return w.tr.acceptedConns() }

// OpenConns returns how many connections are open at the server. A connection
// is open while its script is running.
func (w *Wire) OpenConns() int { return w.tr.openConns() }

// Requests returns how many requests the scripts have read so far.
func (w *Wire) Requests() int {
	w.tr.mu.Lock()
	defer w.tr.mu.Unlock()
	return w.requests
}

// ClientClosed reports whether the server has noticed that the client closed
// connection n. Connections count from 1. Only a script that reads, in
// Read, ReadRequest, ReadHead or WaitClosed, notices this.
func (w *Wire) ClientClosed(n int) bool {
	w.tr.mu.Lock()
	defer w.tr.mu.Unlock()
	_, closed := w.closings[n]
	return closed
}

// WaitClientClosed waits until the server has noticed that the client closed
// connection n, and ends the test if that does not happen within Bound.
// Connections count from 1. It returns what [WireConn.WaitClosed] would
// return: nil if the client closed the connection in order. Only the test's
// goroutine may call it.
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

// WaitRequests waits until the scripts have read at least n requests, and
// ends the test if that does not happen within Bound. Only the test's
// goroutine may call it.
func (w *Wire) WaitRequests(n int) {
	w.t.Helper()
	w.tr.waitFor(w.t, fmt.Sprintf("%d requests", n), func() bool { return w.requests >= n })
}

// Close closes the server and its connections, which ends its scripts. If a
// script is still running after Bound, the test fails. Close is called at the
// end of the test. It may be called more than once.
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
