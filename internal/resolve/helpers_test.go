package resolve

import (
	"context"
	"errors"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"
)

// resolverFunc is a Resolver made of one function.
type resolverFunc func(ctx context.Context, network, host string) ([]netip.Addr, error)

func (f resolverFunc) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	return f(ctx, network, host)
}

// script is a Resolver whose answer is set by the test and whose look-ups are counted.
type script struct {
	addrs   atomic.Pointer[[]netip.Addr]
	err     atomic.Pointer[error]
	release chan struct{} // if not nil, each look-up takes one value or the channel's close
	asked   atomic.Int32
}

func (s *script) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	s.asked.Add(1)
	if s.release != nil {
		<-s.release
	}
	if err := s.err.Load(); err != nil {
		return nil, *err
	}
	return *s.addrs.Load(), nil
}

func (s *script) says(addrs ...string) {
	parsed := parse(addrs...)
	s.addrs.Store(&parsed)
	s.err.Store(nil)
}

func (s *script) fails(err error) { s.err.Store(&err) }

func (s *script) wantAsked(t *testing.T, want int32) {
	t.Helper()
	if got := s.asked.Load(); got != want {
		t.Fatalf("the resolver was asked %d times, want %d", got, want)
	}
}

func saying(addrs ...string) *script {
	s := &script{}
	s.says(addrs...)
	return s
}

func parse(addrs ...string) []netip.Addr {
	parsed := make([]netip.Addr, len(addrs))
	for i, addr := range addrs {
		parsed[i] = netip.MustParseAddr(addr)
	}
	return parsed
}

const (
	host = "origin.test"
	ttl  = 30 * time.Second
)

var errServFail = errors.New("server failure")

// mustLookup asks for host and fails the test on an error.
func mustLookup(t *testing.T, c *Cache, r Resolver) Answer {
	t.Helper()
	answer, err := c.Lookup(t.Context(), r, "ip", host, ttl)
	if err != nil {
		t.Fatalf("Lookup: %v", err)
	}
	return answer
}
