package http2

import (
	"context"
	"net/http/httptrace"

	"github.com/peerpool/peerpool/internal/tracekey"
)

// traced is the context of a request, with the hooks by which an exchange learns what x/net does. It does what
// httptrace.WithClientTrace does, and allocates less.
type traced struct {
	context.Context
	trace httptrace.ClientTrace
}

// Value answers for the trace.
func (t *traced) Value(key any) any {
	if key == tracekey.Key {
		return &t.trace
	}
	return t.Context.Value(key)
}

// observe sets hooks that tell the exchange first, and then those who asked for it.
func (t *traced) observe(x *Exchange) {
	theirs := httptrace.ContextClientTrace(t.Context)
	if theirs == nil {
		t.trace.WroteHeaders, t.trace.GotFirstResponseByte = x.wroteHeaders, x.gotFirstByte
		return
	}
	t.trace = *theirs
	t.trace.WroteHeaders = func() {
		x.wroteHeaders()
		if theirs.WroteHeaders != nil {
			theirs.WroteHeaders()
		}
	}
	t.trace.GotFirstResponseByte = func() {
		x.gotFirstByte()
		if theirs.GotFirstResponseByte != nil {
			theirs.GotFirstResponseByte()
		}
	}
}

// wroteHeaders is called by x/net while it holds the right to write, also after a failure: the last stream is that of
// this request, or none.
func (x *Exchange) wroteHeaders() {
	id := x.c.wire.lastStream.Swap(0)
	x.stream.Store(id)
	if id > maxStreamID {
		x.c.over(ReasonStreamIDs)
	}
}

func (x *Exchange) gotFirstByte() { x.headed.Store(true) }
