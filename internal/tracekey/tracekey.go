// Package tracekey knows under which key a context holds its httptrace.ClientTrace, so that a context of ours can
// answer for it.
package tracekey

import (
	"context"
	"net/http/httptrace"
)

// Key is that key. Package httptrace keeps it to itself, so it is learned from a context that notes what it is asked
// for.
var Key = func() any {
	p := &probe{Context: context.Background()}
	httptrace.ContextClientTrace(p)
	return p.key
}()

type probe struct {
	context.Context
	key any
}

func (p *probe) Value(key any) any {
	p.key = key
	return nil
}
