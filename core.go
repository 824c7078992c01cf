package peerpool

import (
	"crypto/tls"
	"net/http"
	"sync"
	"sync/atomic"
	"unique"

	"github.com/peerpool/peerpool/internal/http2"
	"github.com/peerpool/peerpool/internal/inflight"
	"github.com/peerpool/peerpool/internal/resolve"
	"github.com/peerpool/peerpool/internal/watch"
	"github.com/peerpool/peerpool/pool"
)

type (
	connPool    = pool.Pool[unique.Handle[Identity], conn]
	connLease   = pool.Lease[unique.Handle[Identity], conn]
	connPlace   = pool.Place[unique.Handle[Identity], conn]
	connRetirer = pool.Retirer[unique.Handle[Identity], conn]
)

// dialBurst is how many dials for one identity begin at once. More dials would compete for the processor with the first
// connections, which could already serve the other requests.
const dialBurst = 16

// maxSessions is the largest number of TLS sessions that a Transport remembers, for all identities together.
const maxSessions = 512

// core holds what a Transport works with from its first use on. Without connections, dials and look-ups, nothing in it runs,
// and it does not outlive the Transport.
type core struct {
	pool     *connPool
	routes   routes
	names    resolve.Cache
	watches  watches
	watcher  watch.Watcher
	sessions tls.ClientSessionCache
	inflight inflight.List
	counters counters
	budget   retryBudget
	options  atomic.Pointer[optionSet] // the latest options; nil until they are needed
	memory   memory
	minIdle  int          // MinIdleConnsPerHost that is in force; used only by applyLimits
	widest   atomic.Int64 // the most addresses of a host over which Balance spreads requests

	quarantine quarantine
	lingering  lingering
	http2      func() *http2.Engine // made at first use

	altMu sync.Mutex                                   // serializes RegisterProtocol
	alt   atomic.Pointer[map[string]http.RoundTripper] // by scheme; the map is replaced, never written to
}

// use returns the core. The first call makes it, from the limits that the Transport has then.
func (t *Transport) use() *core {
	t.once.Do(func() {
		t.announce.Do(t.announceHTTP2)
		c := &core{sessions: tls.NewLRUClientSessionCache(maxSessions), minIdle: t.MinIdleConnsPerHost}
		total, perKey := t.idleLimits()
		c.http2 = sync.OnceValue(func() *http2.Engine { return http2.New(t.http2Config()) })
		c.pool = pool.New(pool.Config[unique.Handle[Identity], conn]{
			MaxIdle:       total,
			MaxIdlePerKey: perKey,
			DialBurst:     dialBurst,
			OnForget:      c.routes.forget,
			OnClose:       t.closed,
			OnHeldBack:    t.heldBack,
		})
		t.core = c
	})
	return t.core
}

// reasonSeen is set only by tests, before any Transport is used. It is called with the reason of every close.
var reasonSeen func(CloseReason)

// idleLimits returns the limits of idle connections, in total and for one identity, as the pool needs them.
func (t *Transport) idleLimits() (total, perKey int) {
	total, perKey = t.MaxIdleConns, t.MaxIdleConnsPerHost
	if l := t.changed.Load(); l != nil {
		total, perKey = l.MaxIdleConns, l.MaxIdleConnsPerHost
	}
	if perKey == 0 {
		perKey = max(defaultMaxIdleConnsPerHost, t.idleToSpread())
	}
	return total, perKey
}

// idleToSpread returns how many idle connections of a host Balance needs: two for each address.
func (t *Transport) idleToSpread() int {
	if t.core == nil { // the pool is being made
		return 0
	}
	return 2 * int(t.core.widest.Load())
}

// spreadsOver notes that requests are to be spread over so many addresses of a host.
func (t *Transport) spreadsOver(addresses int) {
	n := int64(addresses)
	if t.Balance == BalanceNone || n <= t.core.widest.Load() {
		return
	}
	t.settings.Lock()
	t.core.widest.Store(max(n, t.core.widest.Load()))
	t.settings.Unlock()
	t.setIdleLimits()
}

// setIdleLimits makes the pool know the limits on idle connections that are in force. It closes no connection.
func (t *Transport) setIdleLimits() {
	t.settings.Lock()
	defer t.settings.Unlock()
	t.core.pool.SetIdleLimits(t.idleLimits())
}

// closed tells the observer about a connection that the pool has closed.
func (t *Transport) closed(id unique.Handle[Identity], c conn, closing pool.Closing) {
	if seen := reasonSeen; seen != nil {
		seen(closing.Reason)
	}
	if c, ok := c.(*http1Conn); ok {
		c.learnFromClose(closing)
	}
	if o := t.Observer; o != nil && o.ConnClosed != nil {
		o.ConnClosed(c.about().obituary(id.Value(), closing.Reason))
	}
}
