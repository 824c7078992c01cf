package peerpool

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"time"
	"unique"
)

// HostStats describes a host with several addresses at one moment.
type HostStats struct {
	Identity  Identity // what the identities of the addresses have in common; its Address is the name of the host
	Waiting   int      // requests that wait for a connection to one of the addresses
	Dialing   int      // dials under way to one of the addresses
	Addresses []AddressStats
}

// AddressStats describes one address of a host. The numbers of connections and requests include those of other hosts
// that share the address.
type AddressStats struct {
	Identity Identity
	Addr     netip.AddrPort
	State    AddressState
	Idle     int // idle connections
	Active   int // connections that serve requests
	Requests int // requests under way

	ConnectFailures int // number of connects that have failed in a row
	Failures        int // number of requests that have failed in a row
	ServerErrors    int // number of responses in a row with a status from 500 to 599; 0 if Outliers.ServerErrors is 0

	Since  time.Time   // when the address was left out; the zero Time if it is not left out
	Until  time.Time   // when the address is tried again, by a dial or a request; the zero Time if it is not left out
	Reason EjectReason // why the address was left out; "" if it is not left out
	Error  string      // text of the failure; "" if the failure has none, or the address is not left out
}

// LeftOut reports whether the address is left out: its State is AddressAvoided, AddressEjected or AddressTrial.
func (a AddressStats) LeftOut() bool { return a.Reason != "" }

// Hosts returns a description of each host that has, or has had, several addresses and to which the Transport has
// connections. The addresses are those that the resolver listed last, in the resolver's order, and then those that it
// does not list any more. If a host is dialed as several kinds of peer, Hosts describes it once for each kind. Hosts is
// safe for concurrent use. The caller owns the returned slice.
func (t *Transport) Hosts() []HostStats {
	all := []HostStats{} // as JSON, it is not null
	for _, h := range t.use().routes.hosts() {
		all = append(all, h.stats())
	}
	slices.SortFunc(all, func(a, b HostStats) int { return cmp.Compare(a.Identity.String(), b.Identity.String()) })
	return all
}

// hosts returns the hosts to which there is a route.
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
	s := HostStats{Identity: h.head.identity(), Waiting: inPool.Waiting, Dialing: inPool.Dialing}
	h.book.mu.Lock()
	for _, m := range h.members.Load().all {
		s.Addresses = append(s.Addresses, m.addressStats())
	}
	for _, m := range h.leaving {
		a := m.addressStats()
		a.State = AddressLeaving
		s.Addresses = append(s.Addresses, a)
	}
	listed := len(h.members.Load().all)
	h.book.mu.Unlock()
	slices.SortFunc(s.Addresses[min(listed, len(s.Addresses)):], func(a, b AddressStats) int { return a.Addr.Compare(b.Addr) })
	for i := range s.Addresses {
		a := &s.Addresses[i]
		for _, c := range h.head.t.core.pool.Conns(unique.Make(a.Identity)) {
			if a.Requests += c.Leases; c.Leases > 0 {
				a.Active++
			} else {
				a.Idle++
			}
		}
	}
	return s
}

// addressStats returns what the book says about an address. The caller holds the book's mu.
func (r *route) addressStats() AddressStats {
	a := AddressStats{Identity: r.identity(), Addr: r.addr, State: AddressListed}
	s := r.state
	if s == nil { // the address was the only one of its host
		return a
	}
	a.ConnectFailures, a.Failures, a.ServerErrors = s.connects, s.requests, s.serverErrors
	if s.state == "" {
		return a
	}
	a.State, a.Reason = s.state, s.reason
	if s.trial != 0 {
		a.State = AddressTrial
	}
	a.Since, a.Until = epoch.Add(s.since), epoch.Add(s.until)
	if s.err != nil {
		a.Error = s.err.Error()
	}
	return a
}

// event describes the present state of the address for the observer. The caller holds mu.
func (s *addressState) event(h *host, m *route) AddressChange {
	e := AddressChange{
		Host: h.head.identity(), Identity: m.identity(), Addr: m.addr, State: s.state, Reason: s.reason, Err: s.err,
		Since: epoch.Add(s.since), Until: epoch.Add(s.until),
	}
	switch {
	case s.state == "":
		e.State, e.Ended = AddressListed, true
	case s.reason == EjectConnect, s.reason == EjectSilent:
		e.Failures = s.connects
	case s.reason == EjectStatus:
		e.Failures = s.serverErrors
	default:
		e.Failures = s.requests
	}
	return e
}

// tell reports e to the observer.
func (h *host) tell(e AddressChange) {
	if o := h.head.t.Observer; o != nil && o.AddressChange != nil {
		o.AddressChange(e)
	}
}

// connectFailed notes that a connect to an address has failed, and reports it to the observer.
func (h *host) connectFailed(ctx context.Context, m *route, reason EjectReason, err error, begun time.Time) {
	h.head.t.core.counters.connectFailures.Add(1)
	if o := h.head.t.Observer; o != nil && o.ConnectFailed != nil {
		failure := newDialError(m.identity(), opConnect, err)
		o.ConnectFailed(ctx, ConnectFailed{
			Identity: m.identity(), Host: h.head.key.host, Addr: m.addr, Duration: time.Since(begun),
			Silent: reason == EjectSilent, Err: err, ErrorType: hopErrorType(failure),
		})
	}
	h.failed(m, reason, err)
}
