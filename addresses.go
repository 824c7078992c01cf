package peerpool

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peerpool/peerpool/internal/exchange"
	"github.com/peerpool/peerpool/pool"
)

// This file notes which addresses of a host work, and leaves out those that fail. The comment of Outliers says when.

// addressBook holds what is known about the addresses of a host. It outlives the connections to them, as learned does.
type addressBook struct {
	mu    sync.Mutex // guards all of the book, and some fields of its host; nothing is called while it is held
	state map[netip.AddrPort]*addressState
	order rotation

	trials uint64 // number of trials so far
}

// trial is the right to try an address that is left out. One dial or one request has it. The zero trial tries nothing.
type trial struct {
	at     *route
	number uint64
}

// addressState holds what is known about an address that is listed now, or was listed not long ago.
type addressState struct {
	// failing is set if an answer would change something: requests to the address have failed, one tries the address, or the
	// address is avoided and the time for that is over.
	// silent is set if no request has been answered since a connect began. Requests read both without the lock, and usually
	// need to do no more.
	failing, silent atomic.Bool

	// The book's mu guards the fields below.
	state        AddressState  // AddressAvoided, AddressEjected, or "" if the address is not left out
	trial        uint64        // number of the trial under way, which tests whether the address works again; 0 if there is none
	connects     int           // number of connects that have failed in a row
	requests     int           // number of requests that have failed in a row
	serverErrors int           // number of responses in a row with a status from 500 to 599
	reason       EjectReason   // why the last failure counted
	err          error         // error of the last failure
	since, until time.Duration // when it was left out, and when it will be tried again; since epoch

	outs int           // how many times in a row it has been left out
	back time.Duration // when it was last taken back; since epoch
	span time.Duration // how long it was left out the last time
	seen time.Duration // when it was last listed anew, or looked up in the book; since epoch

	gone   uint64        // how many times it has been taken off the list
	left   time.Duration // when it was taken off the list; since epoch
	missed int           // from how many answers in a row it has been missing
}

func (b *addressBook) of(addr netip.AddrPort) *addressState {
	s := b.state[addr]
	if s == nil {
		s = new(addressState)
		b.state[addr] = s
	}
	s.seen = time.Since(epoch)
	return s
}

// prune forgets the addresses that are not among those listed and have not been for that long. A host whose connections are
// all gone is forgotten with its timers, so that nothing else removes them. The caller holds mu.
func (b *addressBook) prune(listed []netip.AddrPort, after time.Duration) {
	maps.DeleteFunc(b.state, func(addr netip.AddrPort, s *addressState) bool {
		return time.Since(epoch)-s.seen > after && !slices.Contains(listed, addr)
	})
}

// begin begins a trial of an address. The caller holds mu.
func (b *addressBook) begin(m *route) trial {
	b.trials++
	m.state.trial = b.trials
	return trial{m, b.trials}
}

// isDue reports whether the time for which the address is left out is over, and nothing tries the address yet.
func (s *addressState) isDue(now time.Duration) bool {
	return s.state != "" && s.trial == 0 && now >= s.until
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

// failed notes a failure of an address. It leaves the address out if enough failures have occurred in a row.
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
	if dark || now.State == AddressEjected { // its open connections would fail as well
		h.head.t.core.pool.Drain(m.id, reasonEjected)
	}
	h.tell(now)
}

// leaveOut decides whether a failure leaves the address out, or leaves it out for longer, and reports whether it does. The
// caller holds mu.
func (h *host) leaveOut(m *route, reason EjectReason, failures int) bool {
	s, options := m.state, &h.head.t.Outliers
	state := AddressEjected
	if reason == EjectConnect || reason == EjectSilent {
		state = AddressAvoided
	}
	if s.state == AddressEjected {
		state = AddressEjected // an ejected address does not become an avoided one
	}
	now := time.Since(epoch)
	switch {
	case options.Failures < 0:
		return false
	case s.trial != 0: // and the trial has failed
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
	s.state, s.until, s.trial = state, now+s.span, 0
	h.wakeAt(m)
	return true
}

// wakeAt arranges that the address is tried when the time for which it is left out is over. The caller holds mu.
func (h *host) wakeAt(m *route) {
	time.AfterFunc(m.state.until-time.Since(epoch), func() {
		h.book.mu.Lock()
		h.countDue()
		if m.state.state == AddressAvoided && m.state.isDue(time.Since(epoch)) {
			m.state.failing.Store(true)
		}
		h.book.mu.Unlock()
		h.apply()
	})
}

// countDue sets h.due to the number of addresses that wait for a request to try them. The caller holds mu.
func (h *host) countDue() {
	now, due := time.Since(epoch), int32(0)
	for _, m := range h.members.Load().all {
		if m.state.state == AddressEjected && m.state.isDue(now) {
			due++
		}
	}
	h.due.Store(due)
}

// leftOut returns how many of the listed addresses are left out. The caller holds mu.
func (h *host) leftOut() (n int) {
	for _, m := range h.members.Load().all {
		if m.state.state != "" {
			n++
		}
	}
	return n
}

// takeBack ends the time for which the address is left out. The caller holds mu.
func (s *addressState) takeBack() {
	s.state, s.trial, s.back = "", 0, time.Since(epoch)
	s.connects, s.requests, s.serverErrors = 0, 0, 0
	s.failing.Store(false)
}

// keepHalf takes addresses back until no more than half of the list is left out. More than half can be left out when the
// list has become shorter. The addresses that have been left out longest are taken back first. The caller holds mu.
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

// answered notes that a request to an address was answered. trial says whether the request was made to try the address. An
// avoided address is tried by a dial, and there may be none for as long as its open connections serve. So an answer takes it
// back, too, if its time is over. It does not take it back earlier, because it does not show that connects succeed.
func (h *host) answered(m *route, trial bool) {
	s := m.state
	if !s.failing.Load() && !s.silent.Load() {
		return
	}
	s.silent.Store(false)
	h.book.mu.Lock()
	back := trial && s.state == AddressEjected || s.state == AddressAvoided && s.isDue(time.Since(epoch))
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

// trial returns the trial that the attempt is to make, or none. A request that can be sent again is preferred, because it is
// not lost if the address fails. If no such request comes for a while, any request will do.
func (h *host) trial(a *attempt) (t trial) {
	if h.due.Load() == 0 || a.number > 1 || a.alone {
		return t
	}
	again := replayOf(a.req, false)
	now := time.Since(epoch)
	h.book.mu.Lock()
	defer h.book.mu.Unlock()
	for _, m := range h.members.Load().all {
		s := m.state
		if s.state == AddressEjected && s.isDue(now) && (again.idempotent && again.body || now-s.until >= s.span) {
			t = h.book.begin(m)
			s.failing.Store(true)
			h.countDue()
			return t
		}
	}
	return t
}

// aim finds out whether the attempt is to try an address that is left out. Such an attempt needs a new connection.
func (a *attempt) aim(terms *pool.Terms) {
	a.trial = a.route.host.trial(a)
	terms.Fresh = terms.Fresh || a.trial.at != nil
}

// landed ends the attempt's trial if the attempt has got a connection to another address, or none.
func (a *attempt) landed() {
	if a.trial.at != nil && (!a.lease.Valid() || a.lease.Key() != a.trial.at.id) {
		a.route.host.endTrial(a.trial)
		a.trial = trial{}
	}
}

// endTrial ends a trial that has had no result, so that another request can try the address. It does nothing if the trial is
// over, even if there is another trial now.
func (h *host) endTrial(t trial) {
	if t.at == nil {
		return
	}
	h.book.mu.Lock()
	defer h.book.mu.Unlock()
	if t.at.state.trial == t.number {
		t.at.state.trial = 0
		t.at.state.failing.Store(true)
		h.countDue()
	}
}

// headArrived notes that the response to a trial has begun. A response may go on for hours, so the address is not left out for
// longer than it was before.
func (h *host) headArrived(t trial, status int32) {
	if status >= 500 && h.head.t.Outliers.ServerErrors > 0 {
		return
	}
	h.book.mu.Lock()
	defer h.book.mu.Unlock()
	if s := t.at.state; s.trial == t.number {
		time.AfterFunc(s.span, func() { h.outlasted(t) })
	}
}

// outlasted takes an address back if the response to its trial still goes on.
func (h *host) outlasted(t trial) {
	s := t.at.state
	h.book.mu.Lock()
	back := s.trial == t.number
	if back {
		s.takeBack()
	}
	now := s.event(h, t.at)
	h.book.mu.Unlock()
	if back {
		h.apply()
		h.tell(now)
	}
}

// judge tells the host how an exchange with one of its addresses has ended.
func (a *attempt) judge(end exchange.End, o *exchange.Outcome) {
	h := a.route.host
	m := h.member(a.lease.Key())
	if m == nil { // the address is no longer listed
		h.endTrial(a.trial) // it may be listed again
		return
	}
	trial := a.trial.at == m
	reason := a.fault(end, o)
	switch {
	case reason == EjectStatus && h.head.t.Outliers.ServerErrors <= 0:
		h.answered(m, trial)
	case reason != "":
		h.failed(m, reason, nil)
	case o.Status != 0:
		h.answered(m, trial)
	case trial:
		h.endTrial(a.trial)
	}
}

// fault returns in which way the server is to blame for the end of an exchange, or "" if it is not to blame.
func (a *attempt) fault(end exchange.End, o *exchange.Outcome) EjectReason {
	switch {
	case o.Unfit, o.BodyFailed, o.Refused, o.WantsHTTP1, end == exchange.EndCanceled:
		return ""
	case o.Status != 0 && end == exchange.EndError:
		return EjectRequest // the response's body was cut short
	case o.Status >= 500 && o.Status < 600:
		return EjectStatus
	case o.Status != 0:
		return ""
	case end == exchange.EndTimeout:
		if slow := a.req.GetBody == nil && o.Body.Unfinished(); slow || !o.Wrote {
			return "" // the caller's body may have been too slow
		}
		return EjectTimeout
	case a.lease.Uses() > 0 && !o.Started && !o.Malformed && !o.Reset && !o.Lost:
		return "" // the server may have closed the connection before the request came
	}
	return EjectRequest
}
