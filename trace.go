package peerpool

import (
	"context"
	"net/http/httptrace"

	"github.com/peerpool/peerpool/internal/tracekey"
)

// lookupContext returns ctx with only the DNS hooks of its trace. A resolver opens connections of its own, and ConnectStart
// must not be called for these.
func lookupContext(ctx context.Context) context.Context {
	trace := httptrace.ContextClientTrace(ctx)
	if trace == nil || trace.ConnectStart == nil && trace.ConnectDone == nil {
		return ctx
	}
	dns := &httptrace.ClientTrace{DNSStart: trace.DNSStart, DNSDone: trace.DNSDone}
	if dns.DNSStart == nil {
		dns.DNSStart = func(httptrace.DNSStartInfo) {} // a trace without hooks would not replace the other trace
	}
	return httptrace.WithClientTrace(untraced{ctx}, dns)
}

// withoutGetConn returns ctx with all hooks of its trace except GetConn. If another RoundTripper serves the request, that
// hook has been called already.
func withoutGetConn(ctx context.Context, trace *httptrace.ClientTrace) context.Context {
	rest := *trace
	rest.GetConn = nil
	return httptrace.WithClientTrace(untraced{ctx}, &rest)
}

// untraced is a context without its trace.
type untraced struct{ context.Context }

func (u untraced) Value(key any) any {
	if key == tracekey.Key {
		return nil
	}
	return u.Context.Value(key)
}
