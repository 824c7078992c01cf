package resolve

import (
	"net/netip"
	"slices"
	"testing"
)

func TestOrderLetsTheFamiliesTakeTurns(t *testing.T) {
	for _, c := range []struct{ addrs, want []netip.Addr }{
		{nil, nil},
		{parse("192.0.2.1"), parse("192.0.2.1")},
		{parse("::1", "::2", "::3"), parse("::1", "::2", "::3")},
		{parse("::1", "::2", "192.0.2.1", "192.0.2.2"), parse("::1", "192.0.2.1", "::2", "192.0.2.2")},
		{parse("192.0.2.1", "192.0.2.2", "192.0.2.3", "::1"), parse("192.0.2.1", "::1", "192.0.2.2", "192.0.2.3")},
		{parse("192.0.2.1", "::1", "::2", "::3"), parse("192.0.2.1", "::1", "::2", "::3")},
		{parse("::ffff:192.0.2.1", "192.0.2.2", "::1"), parse("::ffff:192.0.2.1", "::1", "192.0.2.2")},
	} {
		given := slices.Clone(c.addrs)
		if got := Order(given); !slices.Equal(got, c.want) {
			t.Errorf("Order(%v) = %v, want %v", c.addrs, got, c.want)
		}
		if !slices.Equal(given, c.addrs) {
			t.Errorf("Order changed its argument %v to %v", c.addrs, given)
		}
	}
}
