package httptestutil

import (
	"net"
	"net/http"
	"time"
)

// CloseConns closes every connection at once, even if the origin is answering
// a request on it. The origin continues to listen.
func (o *Origin) CloseConns() { o.tr.closeConns() }

// ResetConns does what CloseConns does, but sends an RST in place of a FIN.
func (o *Origin) ResetConns() {
	for _, c := range o.tr.conns(func(*trackedConn) bool { return true }) {
		c.reset()
	}
}

// CloseIdle closes the connections on which no handler is running. These are
// connections between two requests and connections that have not had a
// request yet. If a client has read an answer to its end, the handler of that
// answer is no longer running, unless it declared the answer's length, or
// flushed the answer, and is still at work.
func (o *Origin) CloseIdle() {
	// A handler returns before the server has written the end of its answer.
	// The server reports the connection as idle after that. CloseIdle waits
	// for this report, so that it does not cut off the answer.
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

// Stop stops listening and closes every connection. Until Start is called, a
// client's attempts to connect are refused.
func (o *Origin) Stop() {
	o.mu.Lock()
	srv, done := o.srv, o.done
	o.mu.Unlock()
	srv.Close()
	<-done
	o.tr.closeConns() // those that the server has lost sight of: hijacked ones
}

// Start listens again, after Stop, on the same address. It ends the test if
// the address is not available within Bound. Connection numbers continue from
// where they were, and TLS sessions can still be resumed.
func (o *Origin) Start() {
	o.t.Helper()
	if o.opts.Listener != nil {
		o.t.Fatalf("httptestutil: an origin on a listener of the caller's cannot be started again")
	}
	o.serve(o.relisten())
}

// relisten listens on the origin's address again. It tries several times,
// because another program may use the port for a moment.
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

// Restart stops and starts the origin. It closes all connections, and the
// origin then accepts new ones on the same address.
func (o *Origin) Restart() {
	o.t.Helper()
	o.Stop()
	o.Start()
}

// Close closes the origin and its connections. This cancels the requests
// under way, which ends their handlers. If a handler is still running after
// Bound, the test fails. Close is called at the end of the test. It may be
// called more than once.
func (o *Origin) Close() {
	o.Stop()
	if !o.tr.await(Bound, func() bool { return o.running == 0 }) {
		o.t.Errorf("httptestutil: a handler is still running %v after its connection was closed", Bound)
	}
}
