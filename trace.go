package peerpool

import (
	"context"
	"net/http/httptrace"
)

// traceKey is the key under which a context holds its httptrace.ClientTrace. That package keeps it to itself,
// so it is learned from a context that notes what it is asked for.
var traceKey = func() any {
	p := &keyProbe{Context: context.Background()}
	httptrace.ContextClientTrace(p)
	return p.key
}()

type keyProbe struct {
	context.Context
	key any
}

func (p *keyProbe) Value(key any) any {
	p.key = key
	return nil
}

// lookupContext returns ctx with the DNS hooks of its trace alone. A resolver opens connections of its own, which
// are none of those that ConnectStart is about.
func lookupContext(ctx context.Context) context.Context {
	trace := httptrace.ContextClientTrace(ctx)
	if trace == nil || trace.ConnectStart == nil && trace.ConnectDone == nil {
		return ctx
	}
	dns := &httptrace.ClientTrace{DNSStart: trace.DNSStart, DNSDone: trace.DNSDone}
	if dns.DNSStart == nil {
		dns.DNSStart = func(httptrace.DNSStartInfo) {} // a trace without any hook would not replace the other
	}
	return httptrace.WithClientTrace(untraced{ctx}, dns)
}

// untraced is a context without its trace.
type untraced struct{ context.Context }

func (u untraced) Value(key any) any {
	if key == traceKey {
		return nil
	}
	return u.Context.Value(key)
}
