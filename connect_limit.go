package peerpool

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"sync"
	"time"
)

// connectLimit is the context of a connect that has a time limit. Unlike a context of package context, it has no timer and
// no channel of its own. Package net gives the deadline of a connect's context to the socket, which ends the connect then.
type connectLimit struct {
	context.Context
	until time.Duration // since epoch
}

// Deadline is the method of context.Context.
func (c connectLimit) Deadline() (time.Time, bool) { return epoch.Add(c.until), true }

// limitConnect returns the context for a connect with the Timeout of d. It returns false if package net has to make that
// context: if the connect has another limit as well, or runs a function of the user that may wait for the context's end, or
// if this system's sockets have no deadlines.
func limitConnect(ctx context.Context, d *net.Dialer) (connectLimit, bool) {
	_, limited := ctx.Deadline()
	if limited || d.Timeout <= 0 || !d.Deadline.IsZero() || d.ControlContext != nil || !socketsHaveDeadlines {
		return connectLimit{}, false
	}
	return connectLimit{ctx, time.Since(epoch) + d.Timeout}, true
}

const socketsHaveDeadlines = runtime.GOOS != "plan9" && runtime.GOOS != "js" && runtime.GOOS != "wasip1"

// explain returns err, the error of the connect. If the connect has reached its limit, the error is the one that package
// net uses for that.
func (c connectLimit) explain(err error) error {
	if op, ok := err.(*net.OpError); ok && errors.Is(op.Err, os.ErrDeadlineExceeded) && c.Err() == nil {
		late := *op
		late.Err = errConnectTimeout()
		return &late
	}
	return err
}

// errConnectTimeout returns what package net puts into the error of a connect that takes too long. The connect that it tries
// has no time at all, so that package net sends nothing.
var errConnectTimeout = sync.OnceValue(func() error {
	d := net.Dialer{Deadline: time.Unix(1, 0)}
	_, err := d.Dial("tcp", "127.0.0.1:1")
	if op, ok := err.(*net.OpError); ok && op.Timeout() {
		return op.Err
	}
	return os.ErrDeadlineExceeded
})
