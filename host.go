package peerpool

import (
	"net/netip"
	"slices"
	"sync/atomic"
	"time"
	"unique"

	"github.com/peerpool/peerpool/pool"
)

// host is a host that has, or has had, several addresses. Its users see one host. The pool sees an identity for each
// address. A request takes a connection to any address that serves requests. A dial races these addresses: see host_dial.go.
// addresses.go decides which of them serve.
//
// A host belongs to a route, its head, which holds everything that the addresses have in common.
type host struct {
	head *route
	pool *pool.Host[unique.Handle[Identity], conn]

	members atomic.Pointer[memberList]  // the addresses that are listed; replaced, never written to
	shown   atomic.Pointer[hostLessons] // see lessons
	due     atomic.Int32                // number of addresses that wait for a request to try them

	// telling runs tellPool. Nobody waits for it, because the pool may call hooks, and a hook may send a request.
	telling coalescer

	// The book's mu guards the fields below.
	book    *addressBook
	version uint64                    // version of the answer that lists the members
	number  uint64                    // number of the latest answer: see listing
	dialed  map[netip.AddrPort]*route // the routes to the members
	leaving map[netip.AddrPort]*route // the routes to addresses that are no longer listed, for a while
}

// memberList holds the routes to the addresses of a host, in the resolver's order.
type memberList struct {
	all  []*route
	byID map[unique.Handle[Identity]]*route
}

// An address that is no longer listed keeps its idle connections for goneFor times DNSRefresh, because some DNS servers show
// only some of their addresses at a time. If there has been another answer meanwhile, the address must also be missing from
// more than goneFor answers in a row, however late these come, but the connections are kept for twice that time at most.
const goneFor = 3

func newHost(head *route, listed []netip.AddrPort) *host {
	h := &host{head: head, book: head.learned.addressBook(), dialed: make(map[netip.AddrPort]*route)}
	head.t.spreadsOver(len(listed))
	for _, e := range h.begin(listed) {
		h.tell(e)
	}
	return h
}

// begin sets the addresses that are listed. Some of them may have been left out before. begin returns those that it takes
// back.
func (h *host) begin(listed []netip.AddrPort) (back []AddressChange) {
	head := h.head
	h.book.mu.Lock()
	defer h.book.mu.Unlock()
	h.version = head.version
	h.book.prune(listed, goneFor*h.grace())
	h.book.order.learn(listed)
	h.setMembers(listed)
	back = h.keepHalf()
	serving, undialed := h.serving()
	h.pool = head.t.core.pool.NewHost(serving, func() { head.t.core.routes.drop(head) })
	h.pool.SetReplacement(hostDial{host: h, work: groundwork{replaces: true}})
	if balance := head.t.Balance.ofPool(); balance != pool.BalanceNone {
		h.pool.SetBalance(balance, hostDial{host: h}, head.t.terms(head.key.peer).MaxConns)
		h.pool.SetUndialed(undialed)
	}
	for _, m := range h.members.Load().all {
		if m.state.state != "" {
			h.wakeAt(m)
		}
	}
	return back
}

// setMembers sets the addresses that are listed. The caller holds mu.
func (h *host) setMembers(addrs []netip.AddrPort) {
	list := &memberList{all: make([]*route, len(addrs)), byID: make(map[unique.Handle[Identity]]*route, len(addrs))}
	for i, addr := range addrs {
		m := h.dialed[addr]
		if m == nil {
			s := h.book.of(addr)
			if m = h.leaving[addr]; m == nil || m.state != nil && m.state != s {
				m = h.routeTo(addr)
			}
			delete(h.leaving, addr)
			s.missed = 0
			if m.state == nil { // a state is set only once, because a dial may be reading it
				m.state = s
			}
			h.dialed[addr] = m
		}
		list.all[i], list.byID[m.id] = m, m
	}
	h.members.Store(list)
}

// routeTo makes a route to one address of the host.
func (h *host) routeTo(addr netip.AddrPort) *route {
	p := h.head.plan
	p.tls = p.tls.Clone() // each address has TLS sessions of its own
	return p.to(addr, h.head.identity(), h.head.version)
}

// serving returns the addresses that get requests, and those of them that are dialed only if there is no other address. The
// caller holds mu.
func (h *host) serving() (serving, undialed []unique.Handle[Identity]) {
	now := time.Since(epoch)
	for _, m := range h.members.Load().all {
		if m.state.state == AddressEjected {
			continue
		}
		serving = append(serving, m.id)
		if m.state.state != "" && !m.state.isDue(now) {
			undialed = append(undialed, m.id)
		}
	}
	return serving, undialed
}

// apply makes the pool learn which addresses get requests now. If another goroutine is telling the pool, that goroutine
// goes on to tell it the latest.
func (h *host) apply() { h.telling.run(h.tellPool, nil) }

// tellPool tells the pool which addresses get requests now.
func (h *host) tellPool() {
	h.book.mu.Lock()
	serving, undialed := h.serving()
	h.book.mu.Unlock()
	h.pool.SetUndialed(undialed)
	h.pool.SetKeys(serving)
}

// replace makes the host take the place of a route. The route leads to the only address that the host had before, which is
// no longer listed.
func (h *host) replace(old *route) {
	h.book.mu.Lock()
	defer h.book.mu.Unlock()
	h.leave(old)
}

// update makes the addresses those that the resolver lists now.
func (h *host) update(found listing) {
	h.book.mu.Lock()
	gone := h.miss(found)
	if found.version <= h.version || len(found.addrs) == 0 {
		h.book.mu.Unlock()
		h.drain(gone)
		return
	}
	h.version = found.version
	h.book.order.learn(found.addrs)
	before := h.members.Load().all
	h.setMembers(found.addrs)
	for _, m := range before {
		if !h.lists(m.addr) {
			delete(h.dialed, m.addr)
			h.leave(m)
		}
	}
	back := h.keepHalf()
	h.countDue()
	h.book.mu.Unlock()
	h.head.t.spreadsOver(len(found.addrs))
	h.telling.run(h.tellPool, func() { h.drain(gone) })
	for _, e := range back {
		h.tell(e)
	}
}

// grace is how long an address that is no longer listed keeps its idle connections: see goneFor.
func (h *host) grace() time.Duration { return goneFor * h.head.t.dnsRefresh() }

// miss notes an answer, and forgets the addresses that have been missing from too many. It returns the routes to these. The
// caller holds mu.
func (h *host) miss(found listing) (gone []*route) {
	switch {
	case len(found.addrs) == 0, found.number == 0 && found.version <= h.version:
		return nil
	case found.number != 0 && found.number <= h.number:
		h.overtaken(found)
		return nil
	}
	unseen := h.number != 0 && found.number > h.number+1 // the host was not told of an answer, which may have listed any address
	h.number = found.number
	for _, m := range h.leaving {
		s := h.book.of(m.addr)
		if slices.Contains(found.addrs, m.addr) {
			continue
		}
		if s.missed++; unseen {
			s.missed = min(s.missed, 2)
		}
		if s.missed > goneFor && time.Since(epoch)-s.left >= h.grace() {
			h.forget(m)
			gone = append(gone, m)
		}
	}
	return gone
}

// overtaken notes an answer that another goroutine brings although the host knows a later one. The addresses in it have been
// missing only from later answers. The caller holds mu.
func (h *host) overtaken(found listing) {
	later := int(h.number - found.number)
	for _, m := range h.leaving {
		if s := h.book.of(m.addr); s.missed > later && slices.Contains(found.addrs, m.addr) {
			h.leave(m)
			s.missed = later
		}
	}
}

// leave closes the connections to an address after a while, if it is then still not listed. The caller holds mu.
func (h *host) leave(m *route) {
	s := h.book.of(m.addr)
	s.gone++
	s.missed, s.left = 1, time.Since(epoch)
	if h.leaving == nil {
		h.leaving = make(map[netip.AddrPort]*route)
	}
	h.leaving[m.addr] = m
	h.leaveLater(m, s, s.gone)
}

// leaveLater closes the connections to an address that is still not listed after a while.
func (h *host) leaveLater(m *route, s *addressState, gone uint64) {
	time.AfterFunc(h.grace(), func() {
		if _, watches := h.head.t.resolver().(WatchResolver); !watches {
			h.update(h.head.lastAnswer()) // no request may have needed the latest answer yet
		}
		h.book.mu.Lock()
		left := s.gone == gone && h.leaving[m.addr] == m
		if left && s.missed > 1 && s.missed <= goneFor && time.Since(epoch)-s.left < 2*h.grace() {
			left = false // the next answer may list it
			h.leaveLater(m, s, gone)
		}
		if left {
			h.forget(m)
		}
		h.book.mu.Unlock()
		if left {
			h.telling.run(h.tellPool, func() { h.drain([]*route{m}) }) // when the pool has the latest list
		}
	})
}

// forget forgets an address that is no longer listed. The caller holds mu.
func (h *host) forget(m *route) {
	delete(h.book.state, m.addr)
	delete(h.leaving, m.addr)
}

// drain closes the connections to addresses that are no longer listed.
func (h *host) drain(gone []*route) {
	for _, m := range gone {
		h.pool.DrainUnlisted(m.id, reasonUnlisted)
	}
}

// lists reports whether an address is listed. The caller holds mu.
func (h *host) lists(addr netip.AddrPort) bool {
	return slices.ContainsFunc(h.members.Load().all, func(m *route) bool { return m.addr == addr })
}

// several reports whether more than one address is listed.
func (h *host) several() bool { return h != nil && len(h.members.Load().all) > 1 }

// member returns the route to a listed address, or nil.
func (h *host) member(id unique.Handle[Identity]) *route { return h.members.Load().byID[id] }
