package peerpool

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	"github.com/peerpool/peerpool/pool"
)

// host is a host that has, or has had, several addresses: one thing to its users and an identity for each address to the
// pool. A request takes a connection to any address that is listed; a dial races them in the resolver's order.
//
// It belongs to a route, its head, which has everything that the addresses have in common.
type host struct {
	head *route
	pool *pool.Host[unique.Handle[Identity], conn]

	members atomic.Pointer[[]*route] // of the addresses that are listed, in the resolver's order; replaced, never written to

	// updating is held while the pool is told of another list, so that lists come in their order. The pool may close
	// connections then, and call hooks: these must not wait for a request.
	updating sync.Mutex

	// These are guarded by the mu of the book.
	book    *addressBook
	version uint64                    // of the answer that members are from
	dialed  map[netip.AddrPort]*route // the routes to the members
}

// addressBook is what is known of the addresses of a host. It outlives the connections to them, as learned does.
type addressBook struct {
	mu    sync.Mutex // guards the state, and more of a host. Nothing is called under it.
	state map[netip.AddrPort]*addressState
}

// addressState is what is known of an address that has failed, or is listed no more.
type addressState struct {
	failures int           // in a row
	outs     int           // how often it has been left out since it was last well
	out      time.Duration // since started: until then it is left out; 0: it is not
	trying   bool          // a dial is to find out whether it is well again
	gone     uint64        // counts how often it has been taken off the list
	reason   error         // why it is left out
	since    time.Duration // since started: when that began
}

const (
	// maxFailures is how often in a row an address may refuse before it is left out. One that does not answer at all is
	// left out at once, as it costs a race each time.
	maxFailures = 3

	// firstOut is how long an address is left out the first time, give or take a quarter. It doubles each time, up to
	// longestOut.
	firstOut   = 2 * time.Second
	longestOut = 2 * time.Minute

	// An address that is listed no more keeps its idle connections for goneFor times DNSRefresh, as some servers of DNS
	// show a part of their addresses at a time.
	goneFor = 3
)

func newHost(head *route, listed []netip.AddrPort) *host {
	h := &host{head: head, book: head.learned.addressBook(), dialed: make(map[netip.AddrPort]*route)}
	h.book.mu.Lock()
	defer h.book.mu.Unlock()
	h.version = head.version
	members := h.membersOf(listed)
	h.members.Store(&members)
	h.pool = head.t.core.pool.NewHost(handlesOf(members), func() { head.t.core.routes.drop(head) })
	if balance := head.t.Balance.ofPool(); balance != pool.BalanceNone {
		h.pool.SetBalance(balance, hostDial{host: h}, head.t.terms(head.key.peer).MaxConns)
	}
	return h
}

// errSilent is why an address is left out that has not answered, although another one has that was tried later.
var errSilent = errors.New("peerpool: no answer before that of another address")

func handlesOf(members []*route) []unique.Handle[Identity] {
	ids := make([]unique.Handle[Identity], len(members))
	for i, m := range members {
		ids[i] = m.id
	}
	return ids
}

// membersOf returns the routes to addresses. The caller holds mu.
func (h *host) membersOf(addrs []netip.AddrPort) []*route {
	members := make([]*route, len(addrs))
	for i, addr := range addrs {
		members[i] = h.memberLocked(addr)
	}
	return members
}

func (h *host) memberLocked(addr netip.AddrPort) *route {
	m := h.dialed[addr]
	if m == nil {
		m = h.routeTo(addr)
		h.dialed[addr] = m
	}
	return m
}

// routeTo returns a route to one address of the host.
func (h *host) routeTo(addr netip.AddrPort) *route {
	p := h.head.plan
	p.tls = p.tls.Clone() // each address has sessions of its own
	return p.to(addr, h.head.identity, h.head.version)
}

// replace takes over from a route to the only address that the host has had, and that is listed no more.
func (h *host) replace(old *route) {
	h.book.mu.Lock()
	defer h.book.mu.Unlock()
	h.leave(old)
}

// update takes over what the resolver lists now.
func (h *host) update(found listing) {
	h.updating.Lock()
	defer h.updating.Unlock()
	h.book.mu.Lock()
	if found.version == h.version || len(found.addrs) == 0 {
		h.book.mu.Unlock()
		return
	}
	h.version = found.version
	before := *h.members.Load()
	members := h.membersOf(found.addrs)
	h.members.Store(&members)
	for _, m := range before {
		if !slices.Contains(members, m) {
			delete(h.dialed, m.addr)
			h.leave(m)
		}
	}
	h.book.mu.Unlock()
	h.pool.SetKeys(handlesOf(members))
}

// leave has the idle connections to an address closed that is still not listed after a while. The caller holds mu.
func (h *host) leave(m *route) {
	s := h.stateOf(m.addr)
	s.gone++
	gone := s.gone
	time.AfterFunc(goneFor*h.head.t.dnsRefresh(), func() {
		h.book.mu.Lock()
		left := h.book.state[m.addr] == s && s.gone == gone && !h.listsLocked(m.addr)
		if left {
			delete(h.book.state, m.addr)
		}
		h.book.mu.Unlock()
		if left {
			h.pool.DrainUnlisted(m.id, reasonUnlisted)
		}
	})
}

func (h *host) listsLocked(addr netip.AddrPort) bool {
	return slices.ContainsFunc(*h.members.Load(), func(m *route) bool { return m.addr == addr })
}

func (h *host) stateOf(addr netip.AddrPort) *addressState {
	s := h.book.state[addr]
	if s == nil {
		s = new(addressState)
		h.book.state[addr] = s
	}
	return s
}

// order returns the addresses to dial: the one that is to be tried again if there is one, then those that are well, the
// one that is to be first before the others, in the resolver's order, then those that are left out, which are better than none. It returns which one is tried.
func (h *host) order(first netip.AddrPort) (addrs []netip.AddrPort, tried netip.AddrPort) {
	now := time.Since(started)
	h.book.mu.Lock()
	defer h.book.mu.Unlock()
	var out []netip.AddrPort
	for _, m := range *h.members.Load() {
		s := h.book.state[m.addr]
		switch {
		case (s == nil || s.out == 0) && m.addr == first:
			addrs = slices.Insert(addrs, 0, m.addr)
		case s == nil || s.out == 0:
			addrs = append(addrs, m.addr)
		case now >= s.out && !s.trying && !tried.IsValid():
			s.trying, tried = true, m.addr
		default:
			out = append(out, m.addr)
		}
	}
	if tried.IsValid() {
		addrs = slices.Insert(addrs, 0, tried)
	}
	return append(addrs, out...), tried
}

// answered notes that an address has accepted a connection.
func (h *host) answered(addr netip.AddrPort) {
	h.book.mu.Lock()
	defer h.book.mu.Unlock()
	if s := h.book.state[addr]; s != nil {
		*s = addressState{gone: s.gone}
	}
}

// failed notes that an address has not: that it refused, or that another one answered while it was silent.
func (h *host) failed(addr netip.AddrPort, silent bool, err error) {
	now := time.Since(started)
	h.book.mu.Lock()
	defer h.book.mu.Unlock()
	s := h.stateOf(addr)
	s.failures++
	if !silent && s.failures < maxFailures && !s.trying {
		return
	}
	if s.out == 0 && 2*(h.outLocked()+1) > len(*h.members.Load()) {
		return // never more than half of them
	}
	if s.out == 0 {
		s.since = now
	}
	long := min(firstOut<<min(s.outs, 10), longestOut)
	s.outs++
	s.out, s.trying, s.reason = now+long*3/4+rand.N(long/2), false, err
}

// outLocked is how many of the listed addresses are left out.
func (h *host) outLocked() (n int) {
	for _, m := range *h.members.Load() {
		if s := h.book.state[m.addr]; s != nil && s.out != 0 {
			n++
		}
	}
	return n
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
	m, nc, err := h.connect(ctx, h.addressOf(first))
	work := d.work
	if work.start.IsZero() {
		work.start = begun
	}
	work.connect = time.Since(begun)
	if err != nil {
		failure := newDialError(h.head.identity, opConnect, err)
		report := dial{route: h.head, report: DialDone{Identity: h.head.identity, Host: h.head.key.host}}
		report.start(work)
		report.end(ctx, nil, nil, failure)
		return unique.Handle[Identity]{}, nil, failure
	}
	c, err := m.dial(ctx, nc, work)
	return m.id, c, err
}

// addressOf returns that of a member, or none.
func (h *host) addressOf(id unique.Handle[Identity]) netip.AddrPort {
	for _, m := range *h.members.Load() {
		if m.id == id {
			return m.addr
		}
	}
	return netip.AddrPort{}
}

// connect connects to one of the addresses.
func (h *host) connect(ctx context.Context, first netip.AddrPort) (*route, net.Conn, error) {
	addrs, tried := h.order(first)
	var mu sync.Mutex // guards what follows
	over := false
	pending := make(map[netip.AddrPort]bool)
	race := h.head.racing()
	connect := race.connect
	race.connect = func(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
		mu.Lock()
		pending[addr] = true
		mu.Unlock()
		nc, err := connect(ctx, addr)
		mu.Lock()
		late := over
		delete(pending, addr)
		mu.Unlock()
		if err != nil && !late && ctx.Err() == nil {
			h.failed(addr, false, err)
		}
		return nc, err
	}
	nc, addr, err := race.run(ctx, addrs)
	mu.Lock()
	over = true
	var silent []netip.AddrPort
	for a := range pending {
		silent = append(silent, a)
	}
	mu.Unlock()
	for _, a := range silent {
		if err == nil && slices.Index(addrs, a) < slices.Index(addrs, addr) || err != nil && ctx.Err() == nil {
			h.failed(a, true, errSilent)
		}
	}
	h.tried(tried)
	if err != nil {
		return nil, nil, err
	}
	h.answered(addr)
	h.book.mu.Lock()
	m := h.dialed[addr]
	if m == nil {
		m = h.routeTo(addr) // it is listed no more
	}
	h.book.mu.Unlock()
	return m, nc, nil
}

// tried ends a try that has come to nothing, neither good nor bad.
func (h *host) tried(addr netip.AddrPort) {
	h.book.mu.Lock()
	defer h.book.mu.Unlock()
	if s := h.book.state[addr]; s != nil {
		s.trying = false
	}
}

// groundwork is what finding a route has done of the dial to come, and how long that took. A dial that has none
// to build on has a zero one.
type groundwork struct {
	start            time.Time
	resolve, connect time.Duration
}
