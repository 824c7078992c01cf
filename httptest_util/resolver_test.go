package httptestutil_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

func wantLookup(t *testing.T, r *httptestutil.Resolver, network, host, want string) {
	t.Helper()
	addrs, err := r.LookupNetIP(t.Context(), network, host)
	if err != nil {
		t.Errorf("%s %s: %v", network, host, err)
	}
	wantEqual(t, network+" "+host, fmt.Sprint(addrs), want)
}

func TestAResolverAnswersByNetwork(t *testing.T) {
	var r httptestutil.Resolver
	r.Set(t, "a.test", "192.0.2.1", "2001:db8::1", "192.0.2.2")
	wantLookup(t, &r, "ip", "a.test", "[192.0.2.1 2001:db8::1 192.0.2.2]")
	wantLookup(t, &r, "ip4", "a.test", "[192.0.2.1 192.0.2.2]")
	wantLookup(t, &r, "ip6", "a.test", "[2001:db8::1]")
	r.Set(t, "a.test", "192.0.2.3")
	wantLookup(t, &r, "ip", "a.test", "[192.0.2.3]")
	wantEqual(t, "look-ups", r.Lookups("a.test"), 4)
	if _, err := r.LookupNetIP(t.Context(), "tcp", "a.test"); err == nil {
		t.Error("it answered for network tcp")
	}
}

func TestAHostWithoutAnswerIsNotFound(t *testing.T) {
	var r httptestutil.Resolver
	r.Set(t, "v4.test", "192.0.2.1")
	for host, network := range map[string]string{"unknown.test": "ip", "v4.test": "ip6"} {
		_, err := r.LookupNetIP(t.Context(), network, host)
		var dns *net.DNSError
		if !errors.As(err, &dns) || !dns.IsNotFound || dns.Name != host {
			t.Errorf("%s: got %v, want a DNSError", host, err)
		}
	}
}

func TestAFailingHostFailsUntilItIsSet(t *testing.T) {
	var r httptestutil.Resolver
	broken := errors.New("broken")
	r.Fail("a.test", broken)
	_, err := r.LookupNetIP(t.Context(), "ip", "a.test")
	wantIs(t, "look-up", err, broken)
	r.Set(t, "a.test", "192.0.2.1")
	wantLookup(t, &r, "ip", "a.test", "[192.0.2.1]")
}

func TestAWrongAddressEndsTheTest(t *testing.T) {
	var r httptestutil.Resolver
	texts := failures(t, func(tb testing.TB) { r.Set(tb, "a.test", "no address") })
	wantFailure(t, texts, "the answer for a.test")
}

func TestAHeldLookupGivesTheAnswerThatHoldsWhenItIsReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r httptestutil.Resolver
		r.Set(t, "a.test", "192.0.2.1")
		r.Set(t, "b.test", "192.0.2.9")
		release := r.Hold("a.test")
		var addrs []netip.Addr
		go func() { addrs, _ = r.LookupNetIP(t.Context(), "ip", "a.test") }()
		synctest.Wait()
		wantEqual(t, "answers before the release", len(addrs), 0)
		wantEqual(t, "look-ups started", r.Lookups("a.test"), 1)
		wantLookup(t, &r, "ip", "b.test", "[192.0.2.9]")

		r.Set(t, "a.test", "192.0.2.2")
		release()
		release()
		synctest.Wait()
		wantEqual(t, "answer", fmt.Sprint(addrs), "[192.0.2.2]")
		wantLookup(t, &r, "ip", "a.test", "[192.0.2.2]")
	})
}

func TestAHeldLookupEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r httptestutil.Resolver
		defer r.Hold("a.test")()
		ctx, cancel := context.WithCancel(t.Context())
		var err error
		go func() { _, err = r.LookupNetIP(ctx, "ip", "a.test") }()
		synctest.Wait()
		cancel()
		synctest.Wait()
		wantIs(t, "look-up", err, context.Canceled)
	})
}

func TestReleasingAnOlderHoldLeavesTheNewerOneInForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r httptestutil.Resolver
		r.Set(t, "a.test", "192.0.2.1")
		older, newer := r.Hold("a.test"), r.Hold("a.test")
		older()
		var addrs []netip.Addr
		go func() { addrs, _ = r.LookupNetIP(t.Context(), "ip", "a.test") }()
		synctest.Wait()
		wantEqual(t, "answers", len(addrs), 0)
		newer()
		synctest.Wait()
		wantEqual(t, "answers after the newer's release", len(addrs), 1)
	})
}
