package http2

import (
	"context"
	"errors"
	"net/http/httptrace"
	"slices"
	"testing"
)

// hooked returns an exchange whose hooks have been set under a context, on a connection whose latest stream is 7.
func hooked(ctx context.Context) *Exchange {
	c := &Conn{engine: &Engine{}}
	c.wire = newWire(nil, c)
	c.wire.lastStream.Store(7)
	x := c.NewExchange(ctx, nil, nil)
	x.ctx.observe(x)
	return x
}

func TestHooksTellTheExchangeFirstAndThenThoseWhoAsked(t *testing.T) {
	var x *Exchange
	var calls []string
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		WroteHeaders: func() {
			if x.stream.Load() == 7 {
				calls = append(calls, "headers")
			}
		},
		GotFirstResponseByte: func() {
			if x.headed.Load() {
				calls = append(calls, "first byte")
			}
		},
		Wait100Continue: func() { calls = append(calls, "wait") },
	})
	x = hooked(ctx)
	trace := httptrace.ContextClientTrace(&x.ctx)
	trace.WroteHeaders()
	trace.Wait100Continue()
	trace.GotFirstResponseByte()
	if want := []string{"headers", "wait", "first byte"}; !slices.Equal(calls, want) {
		t.Errorf("called %q, want %q", calls, want)
	}
}

func TestHooksTellTheExchangeWhereNobodyAsked(t *testing.T) {
	type key struct{}
	x := hooked(context.WithValue(t.Context(), key{}, "kept"))
	trace := httptrace.ContextClientTrace(&x.ctx)
	trace.WroteHeaders()
	trace.GotFirstResponseByte()
	if x.stream.Load() != 7 || !x.headed.Load() {
		t.Errorf("stream %d, head come %v", x.stream.Load(), x.headed.Load())
	}
	if x.ctx.Value(key{}) != "kept" {
		t.Error("the context has lost its values")
	}
	partly := hooked(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GetConn: func(string) {}}))
	trace = httptrace.ContextClientTrace(&partly.ctx)
	trace.WroteHeaders()
	trace.GotFirstResponseByte()
}

func TestTheFirstCauseOfACancellationCounts(t *testing.T) {
	first, second, late := errors.New("first"), errors.New("second"), errors.New("late")
	ctx, cancel := context.WithCancelCause(t.Context())
	x := hooked(ctx)
	if cause := x.canceledBy(); cause != nil {
		t.Errorf("canceled by %v before anybody did", cause)
	}
	x.Cancel(first)
	x.Cancel(second)
	cancel(late)
	if cause := x.canceledBy(); cause != first {
		t.Errorf("canceled by %v, want the first cause", cause)
	}
	ended := hooked(ctx)
	ended.Cancel(errEnded) // as the end of the exchange does
	if cause := ended.canceledBy(); cause != late {
		t.Errorf("canceled by %v, want the cause of the context's end", cause)
	}
}

func TestAnExchangeAllocatesLittleBeforeItIsSent(t *testing.T) {
	c := &Conn{engine: &Engine{}}
	c.wire = newWire(nil, c)
	ctx := t.Context()
	// Itself, its channel, and two hooks.
	if n := testing.AllocsPerRun(100, func() {
		x := c.NewExchange(ctx, nil, nil)
		x.ctx.observe(x)
	}); n > 4 {
		t.Errorf("%v allocations, want at most 4", n)
	}
}
