package peerpool

import (
	"cmp"
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
	connPool  = pool.Pool[unique.Handle[Identity], conn]
	connLease = pool.Lease[unique.Handle[Identity], conn]
)

// dialBurst is how many dials for one identity begin at once. More of them would compete for the processor, while the first
// connections wait for it that could have served the others.
const dialBurst = 16

// maxSessions bounds the TLS sessions that a Transport remembers, of all identities together.
const maxSessions = 512

// core is what a Transport works with once it has been used. Nothing in it runs, and nothing outlives the
// Transport, but while there are connections, dials or look-ups.
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
	options  atomic.Pointer[optionSet] // the latest ones; nil: none are needed yet
	memory   memory

	quarantine quarantine
	http2      func() *http2.Engine // made at first use

	altMu sync.Mutex                                   // serializes RegisterProtocol
	alt   atomic.Pointer[map[string]http.RoundTripper] // by scheme; the map is replaced, never written to
}

// use returns the core, made at first use from the limits that the Transport has then.
func (t *Transport) use() *core {
	t.once.Do(func() {
		t.announce.Do(t.announceHTTP2)
		c := &core{sessions: tls.NewLRUClientSessionCache(maxSessions)}
		total, perKey := t.idleLimits()
		c.http2 = sync.OnceValue(func() *http2.Engine { return http2.New(t.http2Config()) })
		c.pool = pool.New(pool.Config[unique.Handle[Identity], conn]{
			MaxIdle:       total,
			MaxIdlePerKey: perKey,
			DialBurst:     dialBurst,
			OnForget:      c.routes.forget,
			OnClose:       t.closed,
		})
		t.core = c
	})
	return t.core
}

// reasonSeen is set by tests alone, before any Transport is used: it is told why each connection is closed.
var reasonSeen func(CloseReason)

// idleLimits returns the limits of idle connections, in total and of one identity, as the pool has them.
func (t *Transport) idleLimits() (total, perKey int) {
	total, perKey = t.MaxIdleConns, t.MaxIdleConnsPerHost
	if l := t.changed.Load(); l != nil {
		total, perKey = l.MaxIdleConns, l.MaxIdleConnsPerHost
	}
	return total, cmp.Or(perKey, defaultMaxIdleConnsPerHost)
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
