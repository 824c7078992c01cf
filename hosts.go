package peerpool

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// HostStats describes a host with several addresses at one moment.
type HostStats struct {
	Identity  Identity // what the identities of the addresses have in common; its Address is the name of the host
	Waiting   int      // requests that wait for a connection to one of the addresses
	Dialing   int      // dials under way to one of the addresses
	Addresses []AddressStats
}

// AddressStats describes one address of a host. [Stats.Peers] describes its connections, under its Identity.
type AddressStats struct {
	Identity Identity
	Addr     netip.AddrPort
	Failures int       // number of connects that have failed in a row
	LeftOut  bool      // the address has failed and is dialed only after all others
	Since    time.Time // when the address was left out; the zero Time if it is not left out
	Until    time.Time // when the address is tried again
	Reason   error     // the failure because of which the address was left out
}

// Hosts returns a description of each host that has, or has had, several addresses and to which the Transport has
// connections. The addresses are those that the resolver listed last, in the resolver's order. If a host is dialed as
// several kinds of peer, Hosts describes it once for each kind. Hosts is safe for concurrent use. The caller owns the
// returned slice.
func (t *Transport) Hosts() []HostStats {
	var all []HostStats
	for _, h := range t.runtime().routes.hosts() {
		all = append(all, h.stats())
	}
	slices.SortFunc(all, func(a, b HostStats) int { return cmp.Compare(a.Identity.String(), b.Identity.String()) })
	return all
}

// hosts returns the hosts that are known.
func (rs *routes) hosts() (hosts []*host) {
	rs.mu.RLock()
	defer rs.mu.RUnlock()
	for _, r := range rs.byKey {
		if r.host != nil {
			hosts = append(hosts, r.host)
		}
	}
	return hosts
}

func (h *host) stats() HostStats {
	inPool := h.pool.Stats()
	s := HostStats{Identity: h.head.identity, Waiting: inPool.Waiting, Dialing: inPool.Dialing}
	h.book.mu.Lock()
	defer h.book.mu.Unlock()
	for _, m := range *h.members.Load() {
		a := AddressStats{Identity: m.identity, Addr: m.addr}
		if state := h.book.state[m.addr]; state != nil {
			a.Failures = state.failures
			if state.out != 0 {
				a.LeftOut, a.Reason = true, state.reason
				a.Since, a.Until = started.Add(state.since), started.Add(state.out)
			}
		}
		s.Addresses = append(s.Addresses, a)
	}
	return s
}
