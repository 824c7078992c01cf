package httptestutil

import (
	"net"
	"net/http"
	"time"
)

// CloseConns closes every connection now, whether or not a request is being
// answered on it, and goes on listening.
func (o *Origin) CloseConns() { o.tr.closeConns() }

// ResetConns does what CloseConns does, with an RST in place of a FIN.
func (o *Origin) ResetConns() {
	for _, c := range o.tr.conns(func(*trackedConn) bool { return true }) {
		c.reset()
	}
}

// CloseIdle closes the connections on which no handler is running: those
// between two requests, and those that have not had one yet. An answer that a
// client has read to its end is no longer being given, unless the handler
// declared its length or flushed it, and is still at work.
func (o *Origin) CloseIdle() {
	// A handler has returned before its answer is complete, and the server
	// calls the connection idle a little after that: wait for the latter, or
	// the end of the answer would be cut off.
	settled := func() bool {
		for c := range o.tr.open {
			if c.handlers == 0 && c.state == http.StateActive {
				return false
			}
		}
		return true
	}
	o.tr.await(Bound, settled)
	for _, c := range o.tr.conns(idle) {
		c.Close()
	}
}

func idle(c *trackedConn) bool {
	return c.handlers == 0 && (c.state == http.StateIdle || c.state == http.StateNew)
}

// Stop stops listening and closes every connection: until Start, a client's
// attempts to connect are refused.
func (o *Origin) Stop() {
	o.mu.Lock()
	srv, done := o.srv, o.done
	o.mu.Unlock()
	srv.Close()
	<-done
	o.tr.closeConns() // those that the server has lost sight of: hijacked ones
}

// Start listens again, after Stop, on the same address. It ends the test if
// that cannot be had within Bound. Connection numbers go on from where they
// were, and TLS sessions can still be resumed.
func (o *Origin) Start() {
	o.t.Helper()
	if o.opts.Listener != nil {
		o.t.Fatalf("httptestutil: an origin on a listener of the caller's cannot be started again")
	}
	o.serve(o.relisten())
}

// relisten takes the origin's address again. Another program may hold the
// port for a moment, which is why it is tried more than once.
func (o *Origin) relisten() net.Listener {
	o.t.Helper()
	giveUp := time.NewTimer(Bound)
	defer giveUp.Stop()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		ln, err := net.Listen(o.network, o.addr)
		if err == nil {
			return ln
		}
		select {
		case <-again.C:
		case <-giveUp.C:
			o.t.Fatalf("httptestutil: listening on %s again: %v", o.addr, err)
		}
	}
}

// Restart stops and starts the origin: all connections are closed, and new
// ones are accepted on the same address.
func (o *Origin) Restart() {
	o.t.Helper()
	o.Stop()
	o.Start()
}

// Close ends the origin, its connections and, since their requests are
// canceled, its handlers. A handler that is still running after Bound fails
// the test. Close is called at the end of the test; calling it more than once
// is harmless.
func (o *Origin) Close() {
	o.Stop()
	if !o.tr.await(Bound, func() bool { return o.running == 0 }) {
		o.t.Errorf("httptestutil: a handler is still running %v after its connection was closed", Bound)
	}
}
