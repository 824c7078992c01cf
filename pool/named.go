package pool

import (
	"context"
	"slices"
)

// Host is a set of keys that a request may use alternately, such as those of the addresses of one service. To its users
// it is one thing: an idle connection of any of its keys will do, and a limit for a key, Terms.MaxConns or
// Config.MaxIdlePerKey, holds for all of them together. Connections are still those of their keys: they are shared with
// whoever asks for the key, or for another Host that has it.
//
// A Host that nobody uses costs the pool nothing. It is safe for concurrent use. Make one with NewHost.
type Host[K comparable, C Conn] struct{ host[K, C] }

// HostDialer makes connections of a Host.
type HostDialer[K comparable, C Conn] interface {
	// DialHost is Dialer.Dial, and also returns the key of the connection, of which it has the choice. The host would
	// like it to be first, unless that is the zero K.
	DialHost(ctx context.Context, first K) (K, C, error)
}

// Balance says how a Host chooses among the connections of its keys.
type Balance uint8

const (
	// BalanceNone takes the idle connection that was released last, whatever its key, and of shared ones the one with
	// the fewest leases. A quiet pool shrinks.
	BalanceNone Balance = iota

	// BalanceRoundRobin has each key serve as many leases as any other. A key that is new begins as if it had served as
	// many as the others.
	BalanceRoundRobin

	// BalanceLeastLeases takes a connection of the key with the fewest leases under way.
	BalanceLeastLeases
)

// SetBalance is called before the host is used. With any other Balance than BalanceNone, a request whose turn it is to
// be served by a key that has no connection for it is served by the next one that has, and the dialer is called
// meanwhile, within maxConns connections of the host (zero: any number), so that the key has one the next time.
func (h *Host[K, C]) SetBalance(balance Balance, dialer HostDialer[K, C], maxConns int) {
	h.set.balance, h.set.dialer, h.set.maxConns = balance, dialer, Terms{MaxConns: maxConns}.limit()
}

// NewHost returns a host of these keys, of which there must be one at least. forget is called, without the lock, when none of its keys has a connection any
// more, and no dial is under way and nobody waits for it. It may be nil.
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

// SetKeys says what the keys of the host are from now on; none at all changes nothing. Requests use no connection of a key that is not among them.
// Such connections stay as they are and count for the limits of the host as long as they are there: see DrainUnlisted.
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
	before := h.set.groups
	h.set.groups = nil
	for _, key := range h.set.keys {
		if g := p.ensure(key); slices.Contains(before, g) {
			h.set.groups = append(h.set.groups, g)
		} else {
			h.admit(g)
		}
	}
	h.set.listed = len(h.set.groups)
	for _, g := range before {
		if !h.lists(g) {
			h.set.groups = append(h.set.groups, g)
		}
	}
	for limit := p.config.MaxIdlePerKey; limit > 0 && h.host.idle() > limit; {
		p.close(h.longestIdle(), ReasonKeyIdleLimit)
	}
	p.tendHost(&h.host)
	p.unlock()
	h.offer()
}

// offer gives what idles at keys that are new to those who wait.
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

// DrainUnlisted retires the connections of a key that has been taken off the list: the idle ones are closed at once, the
// others when their leases end. It does nothing where the key is on the list again, or on that of another Host, or
// somebody waits for the key itself. It returns how many connections it has retired.
func (h *Host[K, C]) DrainUnlisted(key K, reason Reason) int {
	p := h.pool
	p.mu.Lock()
	defer p.unlock()
	g := p.groups[key]
	if g == nil || g.own.waiting() > 0 ||
		slices.ContainsFunc(g.joined(), func(other *host[K, C]) bool { return other.lists(g) }) {
		return 0
	}
	return p.drain(g, reason.orUnspecified())
}

// TryAcquire is Pool.TryAcquire for any key of the host. Of the idle connections it takes the one that was released
// last, whatever its key.
func (h *Host[K, C]) TryAcquire(terms Terms) (Lease[K, C], bool) {
	return h.pool.tryAcquire(asked[K, C]{host: h}, &terms)
}

// Acquire is Pool.Acquire for any key of the host.
func (h *Host[K, C]) Acquire(ctx context.Context, dialer HostDialer[K, C], terms Terms) (Lease[K, C], error) {
	return h.pool.acquire(asked[K, C]{host: h}, &caller[K, C]{ctx: ctx, hostDialer: dialer}, &terms)
}

// Known says whether the host has a connection, a dial or a want.
func (h *Host[K, C]) Known() bool {
	h.pool.mu.Lock()
	defer h.pool.mu.Unlock()
	return h.set.known
}

// HostStats describes a host at one moment, beside the KeyStats of its keys.
type HostStats struct {
	Dialing, Waiting            int
	Misses, Dials, DialFailures uint64 // since the host was made
}

// Stats describes the host.
func (h *Host[K, C]) Stats() HostStats {
	h.pool.mu.Lock()
	defer h.pool.mu.Unlock()
	return HostStats{h.dialing, h.waiting(), h.misses, h.dials, h.dialFailures}
}
