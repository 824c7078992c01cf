package pool

import (
	"context"
	"slices"
)

// Host is a set of keys that a request may use interchangeably, such as the keys of the addresses of one service. A
// caller of a Host can get an idle connection of any of its keys. A limit for one key, Terms.MaxConns or
// Config.MaxIdlePerKey, applies to all keys of the Host together. Each connection still belongs to one key: callers
// that ask for the key itself, or for another Host that has the key, share it.
//
// A Host that is not in use costs the pool nothing. A Host is safe for concurrent use. Use NewHost to create a Host.
type Host[K comparable, C Conn] struct{ host[K, C] }

// HostDialer opens connections for a Host.
type HostDialer[K comparable, C Conn] interface {
	// DialHost opens a connection like Dialer.Dial and also returns the key of the connection. DialHost may choose any
	// key of the host. If first is not the zero K, the host would like DialHost to choose it.
	DialHost(ctx context.Context, first K) (K, C, error)
}

// Balance says how a Host chooses between the connections of its keys.
type Balance uint8

const (
	// BalanceNone takes the idle connection that was released last, whatever its key. Of shared connections, it takes
	// the one with the fewest leases. A quiet pool then shrinks.
	BalanceNone Balance = iota

	// BalanceRoundRobin gives each key the same number of leases. A new key starts as if it had served as many leases
	// as the others.
	BalanceRoundRobin

	// BalanceLeastLeases takes a connection of the key that has the fewest leases under way.
	BalanceLeastLeases
)

// SetBalance sets how the host chooses between its keys. Call it before the host is used. With a balance other than
// BalanceNone, it can be the turn of a key that has no connection for a request. Another key that has one then serves
// the request. Meanwhile the host calls dialer, so that the first key has a connection the next time. For these dials,
// the host has at most maxConns connections. If maxConns is zero, the number is not limited.
func (h *Host[K, C]) SetBalance(balance Balance, dialer HostDialer[K, C], maxConns int) {
	h.set.balance, h.set.dialer, h.set.maxConns = balance, dialer, Terms{MaxConns: maxConns}.limit()
}

// SetUndialed sets the keys for which the host does not dial by itself, because of its Balance, although it is their
// turn. Their connections serve as before.
func (h *Host[K, C]) SetUndialed(keys []K) {
	h.pool.mu.Lock()
	defer h.pool.mu.Unlock()
	h.set.undialed = slices.Clone(keys)
	for _, g := range h.set.groups {
		s, undialed := g.seat(&h.host), slices.Contains(keys, g.key)
		if s.undialed && !undialed {
			s.makeEqual()
		}
		s.undialed = undialed
	}
}

// NewHost returns a Host with the given keys. It panics if there are no keys. The pool calls forget, without holding
// its lock, when no key of the host has a connection any more, no dial is under way, and no caller waits for the
// host. forget may be nil.
func (p *Pool[K, C]) NewHost(keys []K, forget func()) *Host[K, C] {
	if len(keys) == 0 {
		panic("pool: NewHost was called without keys")
	}
	set := &members[K, C]{keys: distinct(keys), forget: forget}
	return &Host[K, C]{host[K, C]{pool: p, wants: p.nobody, set: set}}
}

func distinct[K comparable](keys []K) []K {
	var once []K
	for _, key := range keys {
		if !slices.Contains(once, key) {
			once = append(once, key)
		}
	}
	return once
}

// SetKeys replaces the keys of the host. If keys is empty, SetKeys does nothing. Requests then use no connection of a
// key that is not in keys. Such connections stay open, and count toward the limits of the host as long as they exist:
// see DrainUnlisted.
func (h *Host[K, C]) SetKeys(keys []K) {
	p := h.pool
	if len(keys) == 0 {
		return
	}
	p.mu.Lock()
	h.set.keys = distinct(keys)
	if !h.set.known {
		p.mu.Unlock()
		return
	}
	h.list(h.set.keys)
	h.trim(ReasonKeyIdleLimit)
	p.tendHost(&h.host)
	p.unlock()
	h.offer()
}

// offer gives idle connections of keys that are new to the host to the wants of the host.
func (h *Host[K, C]) offer() {
	p := h.pool
	for {
		p.mu.Lock()
		w := h.plain.first()
		var c claim[K, C]
		if w != nil {
			c = p.candidate(&h.host, &request[K, C]{terms: &w.terms, start: p.now()})
		}
		if c.entry == nil {
			p.tendHost(&h.host)
			p.unlock()
			return
		}
		p.unlock()
		reason := c.entry.conn.Probe()
		p.mu.Lock()
		c.void()
		p.settle(c.entry, nil, reason, p.now())
		p.tend(c.entry.group)
		p.unlock()
	}
}

// DrainUnlisted retires the connections of a key that SetKeys has removed from the host. It closes idle connections
// at once, and the others when their leases end. It does nothing if the host has the key again, if another Host has
// the key, or if a caller waits for the key itself. DrainUnlisted returns how many connections it has retired.
func (h *Host[K, C]) DrainUnlisted(key K, reason Reason) int {
	p := h.pool
	p.mu.Lock()
	defer p.unlock()
	g := p.groups[key]
	if g == nil || g.own.waiting() > 0 ||
		slices.ContainsFunc(g.joined(), func(s *seat[K, C]) bool { return s.listed }) {
		return 0
	}
	return p.drain(g, reason.orUnspecified())
}

// TryAcquire does what Pool.TryAcquire does, for any key of the host. Of the idle connections, it takes the oldest that
// was never leased or, if there is none, the one that was released last, whatever its key.
func (h *Host[K, C]) TryAcquire(terms Terms) (Lease[K, C], bool) {
	r := request[K, C]{terms: &terms, start: h.pool.now()}
	l, _, _ := h.pool.checkout(asked[K, C]{host: h}, &r)
	return l, l.entry != nil
}

// Acquire does what Pool.Acquire does, for any key of the host.
func (h *Host[K, C]) Acquire(ctx context.Context, dialer HostDialer[K, C], terms Terms) (Lease[K, C], error) {
	return h.pool.acquire(asked[K, C]{host: h}, &caller[K, C]{ctx: ctx, hostDialer: dialer}, &terms)
}

// Known reports whether the host has a connection, a dial or a want.
func (h *Host[K, C]) Known() bool {
	h.pool.mu.Lock()
	defer h.pool.mu.Unlock()
	return h.set.known
}

// HostStats describes a Host at one moment. The KeyStats of its keys describe the rest.
type HostStats struct {
	Dialing, Waiting            int
	Misses, Dials, DialFailures uint64 // since the host was made
}

// Stats returns a snapshot of the host.
func (h *Host[K, C]) Stats() HostStats {
	h.pool.mu.Lock()
	defer h.pool.mu.Unlock()
	return HostStats{h.dialing, h.waiting(), h.misses, h.dials, h.dialFailures}
}
