package peerpool

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
	"unique"

	"github.com/peerpool/peerpool/internal/ascii"
	"github.com/peerpool/peerpool/internal/resolve"
)

// This file dials a host: in which order, and what each connect tells of its address.

// errSilent is why an address is avoided that has not answered, although another one has that was tried later.
var errSilent = errors.New("peerpool: no answer before that of another address")

// groundwork is what finding a route has done of the dial to come, and how long that took. A dial that has none
// to build on has a zero one.
type groundwork struct {
	start            time.Time
	resolve, connect time.Duration

	replaces bool // a connection that nears a limit: no request waits for this dial

	trial *route // the address of the host that the dial is to try, or nil
	avoid *route // the one at which the request has failed before, or nil
}

// hostDial dials a host for a request, with what finding the route has done of it.
type hostDial struct {
	host *host
	work groundwork
}

// DialHost is called by the pool.
func (d hostDial) DialHost(ctx context.Context, first unique.Handle[Identity]) (unique.Handle[Identity], conn, error) {
	h, begun := d.host, time.Now()
	if found, err := h.head.lookup(ctx, h.head.authority); err == nil {
		h.update(found)
	}
	h.askAgain(ctx)
	within, cancel := h.head.withinOwnDial(ctx, begun)
	defer cancel()
	m, nc, err := h.connect(within, h.member(first), d.work)
	work := d.work
	if work.start.IsZero() {
		work.start = begun
	}
	work.connect = time.Since(begun)
	if err != nil {
		failure := h.head.outOfTime(within, newDialError(h.head.identity, opConnect, err))
		report := timedDial{route: h.head, report: DialDone{Identity: h.head.identity, Host: h.head.key.host}}
		report.start(work)
		report.tell(ctx, nil, nil, failure)
		return unique.Handle[Identity]{}, nil, failure
	}
	c, err := m.dial(within, nc, work)
	switch {
	case err == nil:
		h.connected(m)
	case ctx.Err() == nil:
		h.failed(m, EjectConnect, causeOf(err))
	default:
		h.endTrial(m)
	}
	return m.id, c, err
}

// askAgain asks the resolver once more, for the second dial of a host, as it cannot be told from one answer alone whether
// the resolver lists the addresses in another order each time.
func (h *host) askAgain(ctx context.Context) {
	h.book.mu.Lock()
	ask := h.book.order.asks()
	h.book.mu.Unlock()
	if _, watches := h.head.t.resolver().(WatchResolver); !ask || watches {
		return
	}
	if found, err := h.head.lookupAgain(ctx); err == nil {
		h.update(found)
	}
	h.book.mu.Lock()
	h.book.order.asked = true
	h.book.mu.Unlock()
}

// lookupAgain looks the host up although the answer is still good. The dial waits for that no longer than it would for a
// connect.
func (r *route) lookupAgain(ctx context.Context) (listing, error) {
	ctx, cancel := context.WithTimeout(ctx, resolve.ConnectionAttemptDelay)
	defer cancel()
	host, _, _ := net.SplitHostPort(r.authority)
	r.t.core.names.Refresh(lookupContext(ctx), r.t.observed(r.t.resolver()), family(r.t.local(r.peer).Addr()), ascii.ToLower(host))
	return r.lookup(ctx, r.authority)
}

// order returns the addresses to dial: the one to try if there is one, then those that are well in the resolver's order,
// first before the others, then those that are left out, which are better than none. It returns which one is tried. A
// request that has failed at an address goes elsewhere: to where none has failed, if it can.
func (h *host) order(first *route, work groundwork) (members []*route, tried *route) {
	h.book.mu.Lock()
	defer h.book.mu.Unlock()
	members = h.book.order.next(h.members.Load().all)
	tried = toTry(members, work)
	rank := func(m *route) int {
		s := m.state
		switch {
		case m == tried:
			return 0
		case s.state == AddressEjected:
			return 6
		case s.state != "":
			return 5
		case m == work.avoid:
			return 4
		case work.avoid != nil && s.requests > 0:
			return 3
		case m == first:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(members, func(a, b *route) int { return rank(a) - rank(b) })
	return members, tried
}

// toTry returns the address that a dial tries, or nil. The caller holds the mu of the book.
func toTry(members []*route, work groundwork) *route {
	if work.trial != nil && slices.Contains(members, work.trial) {
		return work.trial
	}
	now := time.Since(epoch)
	for _, m := range members {
		if m.state.state == AddressAvoided && m.state.isDue(now) {
			m.state.trying = true
			return m
		}
	}
	return nil
}

// connect connects to one of the addresses.
func (h *host) connect(ctx context.Context, first *route, work groundwork) (*route, net.Conn, error) {
	members, tried := h.order(first, work)
	r := &raced{members: make(map[netip.AddrPort]*route, len(members)), pending: make(map[netip.AddrPort]time.Time)}
	addrs := make([]netip.AddrPort, len(members))
	for i, m := range members {
		addrs[i], r.members[m.addr] = m.addr, m
	}
	race := h.head.racing()
	connect := race.connect
	race.connect = func(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
		r.begin(addr)
		nc, err := connect(ctx, addr)
		begun, over := r.end(addr)
		if err != nil && !over && ctx.Err() == nil {
			h.connectFailed(ctx, r.members[addr], EjectConnect, err, begun)
		}
		return nc, err
	}
	nc, addr, err := race.run(ctx, addrs)
	for silent, begun := range r.finish() {
		switch {
		case err == nil && slices.Index(addrs, silent) < slices.Index(addrs, addr):
			h.connectFailed(ctx, r.members[silent], EjectSilent, errSilent, begun)
		case err != nil && ctx.Err() == nil:
			h.connectFailed(ctx, r.members[silent], EjectSilent, err, begun)
		}
	}
	if tried != nil && tried != work.trial && (err != nil || tried.addr != addr) {
		h.endTrial(tried) // if nobody has said that it failed
	}
	if err != nil {
		return nil, nil, err
	}
	return r.members[addr], nc, nil
}

// raced is what the connects of one race do.
type raced struct {
	members map[netip.AddrPort]*route // set once

	mu      sync.Mutex                   // guards pending; nothing is called under it
	pending map[netip.AddrPort]time.Time // when the connects under way began; nil: the race is over
}

func (r *raced) begin(addr netip.AddrPort) {
	r.members[addr].state.silent.Store(true)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pending != nil {
		r.pending[addr] = time.Now()
	}
}

// end is called when a connect has ended.
func (r *raced) end(addr netip.AddrPort) (begun time.Time, over bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	begun = r.pending[addr]
	delete(r.pending, addr)
	return begun, r.pending == nil
}

// finish ends the race, and returns which connects have not ended.
func (r *raced) finish() map[netip.AddrPort]time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	pending := r.pending
	r.pending = nil
	return pending
}
