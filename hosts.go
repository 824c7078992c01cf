package peerpool

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// HostStats describes a host with several addresses at one moment.
type HostStats struct {
	Identity  Identity // what its addresses have in common; its Address is the host's name
	Waiting   int      // requests that wait for a connection to any of the addresses
	Dialing   int      // dials under way to any of them
	Addresses []AddressStats
}

// AddressStats describes an address of a host. Its connections are in [Stats.Peers], by its Identity.
type AddressStats struct {
	Identity Identity
	Addr     netip.AddrPort
	Failures int       // connects in a row that have failed
	LeftOut  bool      // it is dialed after all others, as it has failed
	Since    time.Time // when it was left out; the zero Time if it is not
	Until    time.Time // when it is tried again
	Reason   error     // the failure that it was left out for
}

// Hosts describes the hosts that have, or have had, several addresses and that the Transport has connections to. The
// addresses are those that the resolver listed last, in its order. A host is there once for each kind of peer that it is
// dialed as. Hosts is safe for concurrent use; the slice belongs to the caller.
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
