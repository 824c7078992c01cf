package peerpool

import (
	"context"
	"errors"
	"net/http/httptrace"
	"net/netip"
	"slices"
	"sync"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// tracedResolver is a resolver that calls the hooks of the trace, as net.Resolver does.
type tracedResolver struct{ Resolver }

func (r tracedResolver) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	trace := httptrace.ContextClientTrace(ctx)
	if trace == nil || trace.DNSStart == nil || trace.DNSDone == nil {
		return nil, errors.New("the resolver was given no trace")
	}
	trace.DNSStart(httptrace.DNSStartInfo{Host: host})
	addrs, err := r.Resolver.LookupNetIP(ctx, network, host)
	trace.DNSDone(httptrace.DNSDoneInfo{Err: err})
	return addrs, err
}

// hooksOf sends a GET, and returns the hooks that were called, and its error.
func hooksOf(t *testing.T, tr *Transport, target string) ([]string, error) {
	t.Helper()
	var mu sync.Mutex // guards calls
	var calls []string
	called := func(hook string) {
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, hook)
	}
	req := peerRequest(t, target, nil)
	err := peerTry(tr, req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GetConn:      func(string) { called("GetConn") },
		DNSStart:     func(httptrace.DNSStartInfo) { called("DNSStart") },
		DNSDone:      func(httptrace.DNSDoneInfo) { called("DNSDone") },
		ConnectStart: func(_, _ string) { called("ConnectStart") },
		ConnectDone:  func(_, _ string, _ error) { called("ConnectDone") },
		GotConn:      func(httptrace.GotConnInfo) { called("GotConn") },
	})))
	mu.Lock()
	defer mu.Unlock()
	return slices.Clone(calls), err
}

func TestGetConnIsTheFirstHook(t *testing.T) {
	peerNeedsSecondLoopback(t)
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	names := &httptestutil.Resolver{}
	names.Set(t, "one.test", "127.0.0.1")
	names.Set(t, "two.test", "127.0.0.1", "127.0.0.2")
	names.Fail("none.test", errors.New("no such name"))
	for host, want := range map[string][]string{
		"one.test":  {"GetConn", "DNSStart", "DNSDone", "ConnectStart", "ConnectDone", "GotConn"},
		"two.test":  {"GetConn", "DNSStart", "DNSDone", "ConnectStart", "ConnectDone", "GotConn"},
		"none.test": {"GetConn", "DNSStart", "DNSDone"},
	} {
		t.Run(host, func(t *testing.T) {
			tr := peerTransport(t, &Transport{Resolver: tracedResolver{names}})
			got, err := hooksOf(t, tr, peerURL(t, o, host))
			if (err != nil) != (host == "none.test") {
				t.Errorf("got error %v", err)
			}
			if !slices.Equal(got, want) {
				t.Errorf("the hooks are %v, want %v", got, want)
			}
		})
	}
}
