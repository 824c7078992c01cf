package peerpool

import (
	"crypto/tls"
	"net/http"
	"syscall"

	"github.com/peerpool/peerpool/internal/http1"
	"github.com/peerpool/peerpool/internal/watch"
	"github.com/peerpool/peerpool/pool"
)

// conn is one connection, as the pool and the walk see it.
type conn struct {
	*http1.Conn
	tls         *tls.ConnectionState // nil without TLS
	proxied     bool                 // requests on it name their target in full, for a proxy
	proxyHeader http.Header          // sent to that proxy with each request
	partitioned bool                 // its identity has a Group

	retire   func(pool.Reason) // set once by the pool, before the first lease
	watcher  *watch.Watcher
	watched  watch.Registration
	watching bool // Add has been tried
}

var (
	_ pool.Conn      = (*conn)(nil)
	_ pool.Retirer   = (*conn)(nil)
	_ watch.Notified = (*conn)(nil)
)

// Attach is the pool's.
func (c *conn) Attach(retire func(pool.Reason)) {
	c.retire = retire
	if _, watchable := c.Socket().(syscall.Conn); !watchable {
		c.IdleEnded = c.idleEnded
	}
}

// Probe is called by the pool whenever the connection is about to become idle, and before it is leased
// from there. The first call has the connection watched: not before, since an answer that is closed
// behind may still be read by the first lease.
func (c *conn) Probe() pool.Reason {
	if reason := reasonOf(c.Conn.Probe()); reason != "" {
		return reason
	}
	if !c.watching {
		c.watching = true
		if s, ok := c.Socket().(syscall.Conn); ok {
			c.watched, _ = c.watcher.Add(s, c)
		}
	}
	return ""
}

// PeerClosed is called by the watcher.
func (c *conn) PeerClosed() { c.retire(pool.ReasonPeerClosed) }

// idleEnded is called for a connection that the watcher cannot watch.
func (c *conn) idleEnded(found http1.Condition) { c.retire(reasonOf(found)) }

func reasonOf(found http1.Condition) pool.Reason {
	switch found {
	case http1.PeerClosed:
		return pool.ReasonPeerClosed
	case http1.Unexpected:
		return pool.ReasonUnexpectedData
	}
	return ""
}

// Close closes the connection.
func (c *conn) Close() error {
	c.unwatch()
	return c.Conn.Close()
}

func (c *conn) unwatch() {
	c.watcher.Remove(c.watched)
}
