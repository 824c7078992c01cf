package peerpool

import (
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peerpool/peerpool/internal/exchange"
	"github.com/peerpool/peerpool/pool"
)

// This file is where a host learns which of its addresses are well, and leaves out those that are not. Outliers says when.

// addressBook is what is known of the addresses of a host. It outlives the connections to them, as learned does.
type addressBook struct {
	mu    sync.Mutex // guards all of it, and more of a host. Nothing is called under it.
	state map[netip.AddrPort]*addressState
	order rotation
}

// addressState is what is known of an address that is listed, or was listed not long ago.
type addressState struct {
	// failing says that an answer changes something: requests have failed, or one tries the address. silent says that no
	// request has been answered since a connect began. Requests read the two without the lock, and mostly do no more.
	failing, silent atomic.Bool

	// The mu of the book guards the rest.
	state        AddressState  // AddressAvoided, AddressEjected, or "": it is not left out
	trying       bool          // a dial, or a request, tries whether it is well again
	connects     int           // connects that have failed, in a row
	requests     int           // requests that have failed, in a row
	serverErrors int           // responses with a status of 5xx, in a row
	reason       EjectReason   // of the last failure
	err          error         // the last failure
	since, until time.Duration // since epoch: when it was left out, and when it is to be tried

	outs int           // how often it has been left out in a row
	back time.Duration // since epoch: when it was last used again
	span time.Duration // how long it was left out the last time
	gone uint64        // counts how often it has been taken off the list
}

func (b *addressBook) of(addr netip.AddrPort) *addressState {
	s := b.state[addr]
	if s == nil {
		s = new(addressState)
		b.state[addr] = s
	}
	return s
}

// isDue says that the time is over for which the address was left out, and that nobody tries it yet.
func (s *addressState) isDue(now time.Duration) bool {
	return s.state != "" && !s.trying && now >= s.until
}

// count counts a failure, and returns how many of the kind there have been in a row.
func (s *addressState) count(reason EjectReason, err error) int {
	s.reason, s.err = reason, err
	n := &s.requests
	switch reason {
	case EjectConnect, EjectSilent:
		n = &s.connects
	case EjectStatus:
		n = &s.serverErrors
	}
	*n++
	if n != &s.connects {
		s.failing.Store(true)
	}
	return *n
}

// failed notes a failure of an address, and leaves the address out if there have been enough.
func (h *host) failed(m *route, reason EjectReason, err error) {
	s := m.state
	h.book.mu.Lock()
	failures := s.count(reason, err)
	dark := reason == EjectSilent && s.silent.Load()
	left := h.leaveOut(m, reason, failures)
	now := s.event(h, m)
	h.book.mu.Unlock()
	if !left {
		return
	}
	h.head.t.core.counters.ejections.Add(1)
	h.apply()
	if dark || now.State == AddressEjected { // what is open to it would fail as well
		h.head.t.core.pool.Drain(m.id, reasonEjected)
	}
	h.tell(now)
}

// leaveOut decides whether a failure leaves the address out, or leaves it out for longer. The caller holds mu.
func (h *host) leaveOut(m *route, reason EjectReason, failures int) bool {
	s, options := m.state, &h.head.t.Outliers
	state := AddressEjected
	if reason == EjectConnect || reason == EjectSilent {
		state = AddressAvoided
	}
	if s.state == AddressEjected {
		state = AddressEjected // which is more
	}
	now := time.Since(epoch)
	switch {
	case options.Failures < 0:
		return false
	case s.trying: // and it is not well
	case s.state == state, !options.enough(reason, failures):
		return false
	case s.state == "" && 2*(h.leftOut()+1) > len(h.members.Load().all):
		return false
	case s.state == "":
		s.since = now
		if now-s.back > s.span {
			s.outs = 0
		}
	}
	s.span = options.span(s.outs)
	s.outs++
	s.state, s.until, s.trying = state, now+s.span, false
	h.wakeAt(m)
	return true
}

// wakeAt has a request look for an address that is to be tried, when it is time. The caller holds mu.
func (h *host) wakeAt(m *route) {
	time.AfterFunc(m.state.until-time.Since(epoch), func() {
		h.book.mu.Lock()
		h.countDue()
		h.book.mu.Unlock()
		h.apply()
	})
}

// countDue finds out how many addresses wait for a request that tries them. The caller holds mu.
func (h *host) countDue() {
	now, due := time.Since(epoch), int32(0)
	for _, m := range h.members.Load().all {
		if m.state.state == AddressEjected && m.state.isDue(now) {
			due++
		}
	}
	h.due.Store(due)
}

// leftOut is how many of the listed addresses are left out. The caller holds mu.
func (h *host) leftOut() (n int) {
	for _, m := range h.members.Load().all {
		if m.state.state != "" {
			n++
		}
	}
	return n
}

// takeBack ends that an address is left out. The caller holds mu.
func (s *addressState) takeBack() {
	s.state, s.trying, s.back = "", false, time.Since(epoch)
	s.connects, s.requests, s.serverErrors = 0, 0, 0
	s.failing.Store(false)
}

// keepHalf takes back those that have been left out for longest, if the list has become so short that they are more than
// half of it. The caller holds mu.
func (h *host) keepHalf() (back []AddressChange) {
	members := h.members.Load().all
	for n := h.leftOut(); 2*n > len(members); n-- {
		var first *route
		for _, m := range members {
			if m.state.state != "" && (first == nil || m.state.since < first.state.since) {
				first = m
			}
		}
		first.state.takeBack()
		back = append(back, first.state.event(h, first))
	}
	return back
}

// connected notes that a dial to an address has succeeded.
func (h *host) connected(m *route) {
	s := m.state
	h.book.mu.Lock()
	s.connects = 0
	back := s.state == AddressAvoided
	if back {
		s.takeBack()
	}
	now := s.event(h, m)
	h.book.mu.Unlock()
	if back {
		h.apply()
		h.tell(now)
	}
}

// answered notes that a request to an address was answered. trial: it was to try the address.
func (h *host) answered(m *route, trial bool) {
	s := m.state
	if !s.failing.Load() && !s.silent.Load() {
		return
	}
	s.silent.Store(false)
	h.book.mu.Lock()
	back := trial && s.state == AddressEjected
	if back {
		s.takeBack()
	} else if s.state != AddressEjected {
		s.requests, s.serverErrors = 0, 0
		s.failing.Store(false)
	}
	h.countDue()
	now := s.event(h, m)
	h.book.mu.Unlock()
	if back {
		h.apply()
		h.tell(now)
	}
}

// trial returns an address that the attempt is to try, or nil. One that can be made again goes first, as it is not lost if
// the address fails; after a while any will do.
func (h *host) trial(a *attempt) *route {
	if h.due.Load() == 0 || a.number > 1 || a.alone {
		return nil
	}
	again := replayOf(a.req, false)
	now := time.Since(epoch)
	h.book.mu.Lock()
	defer h.book.mu.Unlock()
	for _, m := range h.members.Load().all {
		s := m.state
		if s.state == AddressEjected && s.isDue(now) && (again.idempotent && again.body || now-s.until >= s.span) {
			s.trying = true
			s.failing.Store(true)
			h.countDue()
			return m
		}
	}
	return nil
}

// aim decides to which address of a host the attempt is made, if it is not all the same.
func (a *attempt) aim(terms *pool.Terms) {
	a.trial = a.route.host.trial(a)
	terms.Fresh = terms.Fresh || a.trial != nil
}

// landed ends the trial of an attempt that has got a connection to another address, or none.
func (a *attempt) landed() {
	if a.trial != nil && (!a.lease.Valid() || a.lease.Key() != a.trial.id) {
		a.route.host.endTrial(a.trial)
		a.trial = nil
	}
}

// endTrial ends a trial that has shown nothing, and lets another request try.
func (h *host) endTrial(m *route) {
	h.book.mu.Lock()
	defer h.book.mu.Unlock()
	m.state.trying = false
	h.countDue()
}

// judge tells the host how an exchange with one of its addresses has ended.
func (a *attempt) judge(end exchange.End, o *exchange.Outcome) {
	h := a.route.host
	m := h.member(a.lease.Key())
	if m == nil { // it is listed no more
		if a.trial != nil {
			h.endTrial(a.trial) // it may be listed again
		}
		return
	}
	trial := a.trial == m
	reason := a.fault(end, o)
	switch {
	case reason == EjectStatus && h.head.t.Outliers.ServerErrors <= 0:
		h.answered(m, trial)
	case reason != "":
		h.failed(m, reason, nil)
	case o.Status != 0:
		h.answered(m, trial)
	case trial:
		h.endTrial(m)
	}
}

// fault says in which way the server is to blame for how an exchange has ended, if it is.
func (a *attempt) fault(end exchange.End, o *exchange.Outcome) EjectReason {
	switch {
	case o.Unfit, o.BodyFailed, o.Refused, o.WantsHTTP1, end == exchange.EndCanceled:
		return ""
	case o.Status != 0 && end == exchange.EndError:
		return EjectRequest // the body was cut short
	case o.Status >= 500 && o.Status < 600:
		return EjectStatus
	case o.Status != 0:
		return ""
	case end == exchange.EndTimeout:
		if slow := a.req.Body != nil && a.req.Body != http.NoBody && a.req.GetBody == nil; slow || !o.Wrote {
			return "" // it may be that the caller's body was not sent in time
		}
		return EjectTimeout
	case a.lease.Reused() && !o.Started && !o.Malformed && !o.Reset && !o.Lost:
		return "" // it may have been closed before the request came
	}
	return EjectRequest
}
