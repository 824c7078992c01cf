package httptestutil

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
)

// Resolver answers look-ups from a script. It has the LookupNetIP method of
// *net.Resolver, but sends no queries. It works inside a testing/synctest
// bubble. The zero value knows no host. Host names are compared byte for
// byte. A Resolver is safe for concurrent use.
type Resolver struct {
	mu      sync.Mutex // guards the fields below; not held while a look-up waits
	answers map[string]answer
	lookups map[string]int
	held    map[string]chan struct{} // by host; closed when look-ups may go on
}

type answer struct {
	addrs []netip.Addr
	err   error
}

// Set makes addrs the answer for host from now on. It ends the test if one of
// addrs is not an IP address.
func (r *Resolver) Set(t testing.TB, host string, addrs ...string) {
	t.Helper()
	var a answer
	for _, s := range addrs {
		addr, err := netip.ParseAddr(s)
		if err != nil {
			t.Fatalf("httptestutil: the answer for %s: %v", host, err)
		}
		a.addrs = append(a.addrs, addr)
	}
	r.answer(host, a)
}

// Fail makes look-ups of host fail with err from now on.
func (r *Resolver) Fail(host string, err error) { r.answer(host, answer{err: err}) }

func (r *Resolver) answer(host string, a answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.answers == nil {
		r.answers = map[string]answer{}
	}
	r.answers[host] = a
}

// Hold makes look-ups of host wait, from now on, until release is called or
// their context is done. When a look-up goes on, it returns the answer that
// is set at that time. If there are two holds on a host, look-ups wait for
// the newer one. release may be called more than once.
func (r *Resolver) Hold(host string) (release func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held == nil {
		r.held = map[string]chan struct{}{}
	}
	gate := make(chan struct{})
	r.held[host] = gate
	return sync.OnceFunc(func() { close(gate) })
}

// Lookups returns how many look-ups of host have been started so far.
func (r *Resolver) Lookups(host string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lookups[host]
}

// LookupNetIP returns the addresses that Set has set for host and that belong
// to network, which is "ip", "ip4" or "ip6". If there is no such address, it
// returns a [*net.DNSError] that says so.
func (r *Resolver) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if !slices.Contains([]string{"ip", "ip4", "ip6"}, network) {
		return nil, fmt.Errorf("httptestutil: network %q is not ip, ip4 or ip6", network)
	}
	if err := r.wait(ctx, host); err != nil {
		return nil, err
	}
	r.mu.Lock()
	a := r.answers[host]
	r.mu.Unlock()
	if a.err != nil {
		return nil, a.err
	}
	var addrs []netip.Addr
	for _, addr := range a.addrs {
		if network == "ip" || addr.Is4() == (network == "ip4") {
			addrs = append(addrs, addr)
		}
	}
	if len(addrs) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return addrs, nil
}

// wait counts a look-up, and waits as long as a Hold is in effect.
func (r *Resolver) wait(ctx context.Context, host string) error {
	r.mu.Lock()
	if r.lookups == nil {
		r.lookups = map[string]int{}
	}
	r.lookups[host]++
	gate := r.held[host]
	r.mu.Unlock()
	if gate == nil {
		return ctx.Err()
	}
	select {
	case <-gate:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
