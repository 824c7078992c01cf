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

// This file dials a host. It decides in which order the addresses are dialed, and notes what each connect shows about its
// address.

// errSilent is the error of an address that has not answered although an address that was tried later has.
var errSilent = errors.New("peerpool: no answer before a connect to another address succeeded")

// groundwork is the part of a dial that was done while the route was found, and how long it took. It is zero if nothing was
// done.
type groundwork struct {
	start            time.Time
	resolve, connect time.Duration

	replaces bool // the dial replaces a connection that nears a limit, so that no request waits for it

	trial trial  // of the address of the host that the dial is to try
	avoid *route // address at which the request has failed before, or nil
}

// hostDial dials a host for a request. work is the part of the dial that is already done.
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
	m, nc, tried, err := h.connect(within, h.member(first), d.work)
	work := d.work
	if work.start.IsZero() {
		work.start = begun
	}
	work.connect = time.Since(begun)
	if err != nil {
		failure := h.head.outOfTime(within, newDialError(h.head.identity(), opConnect, err))
		report := timedDial{route: h.head, report: DialDone{Identity: h.head.identity(), Host: h.head.key.host}}
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
	case tried.at == m:
		h.endTrial(tried)
	}
	return m.id, c, err
}

// askAgain asks the resolver once more before the second dial of a host. One answer alone does not show whether the resolver
// lists the addresses in another order each time.
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

// lookupAgain looks the host up again although the known answer is still valid. The dial waits for that at most as long as
// it waits for one connect before it tries the next address.
func (r *route) lookupAgain(ctx context.Context) (listing, error) {
	ctx, cancel := context.WithTimeout(ctx, resolve.ConnectionAttemptDelay)
	defer cancel()
	host, _, _ := net.SplitHostPort(r.authority)
	r.t.core.names.Refresh(lookupContext(ctx), r.t.observed(r.t.resolver()), family(r.t.local(r.peer).Addr()), ascii.ToLower(host))
	return r.lookup(ctx, r.authority)
}

// order returns the addresses in the order in which they are dialed. If there is an address to try, it comes first, and
// order also returns it as tried. Then come the addresses that work, in the resolver's order, but with first before the
// others. The addresses that are left out come last, because they are better than none. If the request has failed at an
// address before, the addresses where no request has failed come first among those that work.
func (h *host) order(first *route, work groundwork) (members []*route, tried trial) {
	h.book.mu.Lock()
	defer h.book.mu.Unlock()
	members = h.book.order.next(h.members.Load().all)
	tried = h.toTry(members, work)
	rank := func(m *route) int {
		s := m.state
		switch {
		case m == tried.at:
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

// toTry returns the trial that a dial is to make, or none. The caller holds the mu of the book.
func (h *host) toTry(members []*route, work groundwork) trial {
	if work.trial.at != nil && slices.Contains(members, work.trial.at) {
		return work.trial
	}
	now := time.Since(epoch)
	for _, m := range members {
		if m.state.state == AddressAvoided && m.state.isDue(now) {
			return h.book.begin(m)
		}
	}
	return trial{}
}

// connect connects to one of the addresses. It also returns the trial that it has made, which is not over if that address is
// the one to which it has connected.
func (h *host) connect(ctx context.Context, first *route, work groundwork) (*route, net.Conn, trial, error) {
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
		if err != nil && ctx.Err() != nil {
			return nc, err // it got no answer before the end of the race, and stays among the pending ones
		}
		begun, over := r.end(addr)
		if err != nil && !over {
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
	if tried.at != nil && tried != work.trial && (err != nil || tried.at.addr != addr) {
		h.endTrial(tried) // in case nothing has reported its failure
	}
	if err != nil {
		return nil, nil, tried, err
	}
	return r.members[addr], nc, tried, nil
}

// raced notes the state of the connects of one race.
type raced struct {
	members map[netip.AddrPort]*route // set once

	mu      sync.Mutex                   // guards pending; nothing is called while it is held
	pending map[netip.AddrPort]time.Time // when each connect under way began; nil when the race is over
}

func (r *raced) begin(addr netip.AddrPort) {
	r.members[addr].state.silent.Store(true)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pending != nil {
		r.pending[addr] = time.Now()
	}
}

// end notes that a connect has ended. It returns when the connect began, and whether the race is over.
func (r *raced) end(addr netip.AddrPort) (begun time.Time, over bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	begun = r.pending[addr]
	delete(r.pending, addr)
	return begun, r.pending == nil
}

// finish ends the race, and returns the connects that have not ended, or that the end of the race has ended.
func (r *raced) finish() map[netip.AddrPort]time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	pending := r.pending
	r.pending = nil
	return pending
}
