package resolve

import (
	"context"
	"fmt"
	"net"
	"net/netip"
)

// Resolver looks up the addresses of a host. [*net.Resolver] is one.
//
// network is "ip", "ip4" or "ip6". It must be safe for concurrent use.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Answer is what a resolver said about a host. It is immutable: all callers share its addresses, so do not write to
// them.
type Answer struct {
	// Addrs is never empty. It has the resolver's order and no duplicates. An IPv4 address has its 4-byte form,
	// whatever form the resolver gave it.
	Addrs []netip.Addr

	// Version identifies Addrs: if two answers of one Cache to the same question have the same Version, their Addrs are
	// equal. Version is never zero, and never returns to an earlier value.
	Version uint64

	// Number is higher in an answer that the resolver gave later, even if it is equal to the one before.
	Number uint64

	// Waited reports whether the caller has waited for the resolver.
	Waited bool
}

// usable returns the addresses that belong to network, in their shortest form and without duplicates.
func usable(network string, addrs []netip.Addr) []netip.Addr {
	kept := make([]netip.Addr, 0, len(addrs))
	seen := make(map[netip.Addr]bool, len(addrs))
	for _, addr := range addrs {
		addr = addr.Unmap()
		if seen[addr] || !inNetwork(network, addr) {
			continue
		}
		seen[addr] = true
		kept = append(kept, addr)
	}
	return kept
}

func inNetwork(network string, addr netip.Addr) bool {
	switch network {
	case "ip4":
		return addr.Is4()
	case "ip6":
		return addr.Is6()
	}
	return addr.IsValid()
}

// The errors of this package have the type that the resolvers of package net return, so that a program that looks for
// that type finds it.

// NotFound returns the error of a host that has no address.
func NotFound(host string) error {
	return &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

// TimedOut returns the error of a look-up that has taken [LookupTimeout].
func TimedOut(host string) error {
	return &net.DNSError{
		UnwrapErr: context.DeadlineExceeded,
		Err:       "no answer within " + LookupTimeout.String(),
		Name:      host, IsTimeout: true, IsTemporary: true,
	}
}

func brokenResolver(host string, what ...any) error {
	return &net.DNSError{Err: "resolver " + fmt.Sprint(what...), Name: host}
}
