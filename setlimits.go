package peerpool

import (
	"cmp"
	"maps"
	"slices"
	"time"
	"unique"

	"github.com/peerpool/peerpool/pool"
)

// Limits are the limits of a Transport that [Transport.SetLimits] changes. Each means what the field of the Transport with
// the same name means.
type Limits struct {
	MaxIdleConns        int
	MaxIdleConnsPerHost int
	MaxConnsPerHost     int
	MinIdleConnsPerHost int
	IdleConnTimeout     time.Duration
	MaxConnReuse        int
	MaxConnLifetime     time.Duration

	TLSHandshakeTimeout   time.Duration
	DialTimeout           time.Duration
	ResponseHeaderTimeout time.Duration
	BodyReadTimeout       time.Duration
	BodyWriteTimeout      time.Duration

	RetryBudget float64
}

// Limits returns the limits that are in force: those of the last SetLimits, or else those of the Transport's fields.
func (t *Transport) Limits() Limits {
	if l := t.changed.Load(); l != nil {
		return *l
	}
	return Limits{
		MaxIdleConns: t.MaxIdleConns, MaxIdleConnsPerHost: t.MaxIdleConnsPerHost, MaxConnsPerHost: t.MaxConnsPerHost,
		MinIdleConnsPerHost: t.MinIdleConnsPerHost, IdleConnTimeout: t.IdleConnTimeout,
		MaxConnReuse: t.MaxConnReuse, MaxConnLifetime: t.MaxConnLifetime,
		TLSHandshakeTimeout: t.TLSHandshakeTimeout, DialTimeout: t.DialTimeout, ResponseHeaderTimeout: t.ResponseHeaderTimeout,
		BodyReadTimeout: t.BodyReadTimeout, BodyWriteTimeout: t.BodyWriteTimeout,
		RetryBudget: t.RetryBudget,
	}
}

// SetLimits replaces the limits of a Transport that is in use. To change some of them, change what [Transport.Limits]
// returns and pass it on. The Transport's fields stay as they are, and no longer count for these limits. Options of a peer
// take precedence as before.
//
// Higher limits hold at once, also for requests that wait for a connection, except that a connection keeps the
// MaxConnReuse and MaxConnLifetime that it had. Lower limits take effect gently: no connection in use is cut. Idle
// connections beyond a limit are closed, with the CloseReason "limit_lowered" or that of the limit. If there are more
// connections in use than MaxConnsPerHost allows, they are closed as their requests end, until there are as many as it
// allows. A time limit holds for the requests and dials that begin after the call. SetLimits is safe for concurrent use. If
// another call of SetLimits is under way, this call may return before its limits are in force: the other call then applies
// them.
func (t *Transport) SetLimits(l Limits) {
	t.use()
	t.changed.Store(&l)
	t.changing.run(t.applyLimits, nil)
}

// applyLimits brings the pool up to date after SetLimits.
func (t *Transport) applyLimits() {
	c, l := t.core, t.Limits()
	t.settings.Lock()
	total, perKey := t.idleLimits()
	t.settings.Unlock()
	routes := c.routes.all()
	c.pool.SetLimits(total, perKey, t.termsOf(routes))
	t.setIdleLimits()
	if l.MinIdleConnsPerHost != c.minIdle {
		c.minIdle = l.MinIdleConnsPerHost
		for _, r := range routes {
			if r.peer.MinIdleConns == 0 {
				r.keepIdle(l.MinIdleConnsPerHost, r.key.peer)
			}
		}
	}
}

// all returns all routes.
func (rs *routes) all() (all []*route) {
	rs.mu.RLock()
	defer rs.mu.RUnlock()
	for _, r := range rs.byKey {
		all = append(all, r)
	}
	return all
}

// termsOf returns the terms of all identities to which the routes lead. Several routes may lead to one identity, and their
// peers may have different options. The highest limits then count.
func (t *Transport) termsOf(routes []*route) map[unique.Handle[Identity]]pool.Terms {
	all := make(map[unique.Handle[Identity]]pool.Terms)
	for _, r := range routes {
		terms, ids := t.terms(r.key.peer), []unique.Handle[Identity]{r.id}
		if r.host != nil {
			ids = slices.Collect(maps.Keys(r.host.members.Load().byID))
		}
		for _, id := range ids {
			if other, ok := all[id]; ok {
				all[id] = looser(terms, other)
			} else {
				all[id] = terms
			}
		}
	}
	return all
}

// looser returns terms with the higher one of each limit. Terms of connections that are never pooled say nothing about how long
// a connection may be idle.
func looser(a, b pool.Terms) pool.Terms {
	switch {
	case a.Unpooled:
		a.IdleTimeout = b.IdleTimeout
	case !b.Unpooled:
		a.IdleTimeout = higher(a.IdleTimeout, b.IdleTimeout)
	}
	a.Unpooled = a.Unpooled && b.Unpooled
	a.MaxReuse = higher(a.MaxReuse, b.MaxReuse)
	a.MaxLifetime = higher(a.MaxLifetime, b.MaxLifetime)
	a.MaxConns = higher(a.MaxConns, b.MaxConns)
	return a
}

// higher returns the higher one of two limits. A limit of zero or less means no limit.
func higher[T cmp.Ordered](a, b T) T {
	var none T
	if a <= none || b <= none {
		return none
	}
	return max(a, b)
}
