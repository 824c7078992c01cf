package peerpool

import (
	"crypto/tls"
	"net/http"
	"syscall"

	"github.com/peerpool/peerpool/internal/http1"
	"github.com/peerpool/peerpool/internal/watch"
	"github.com/peerpool/peerpool/pool"
)

// http1Conn is a connection that speaks HTTP/1.1.
type http1Conn struct {
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
	_ conn           = (*http1Conn)(nil)
	_ pool.Retirer   = (*http1Conn)(nil)
	_ watch.Notified = (*http1Conn)(nil)
)

// exchange runs the exchange that the attempt carries.
func (c *http1Conn) exchange(a *attempt) (*http.Response, error) {
	t := a.t
	a.Conn, a.TLS, a.Owner = c.Conn, c.tls, a
	a.Opts = http1.Options{
		Trace:          a.trace,
		ProxyHeader:    c.proxyHeader,
		Proxied:        c.proxied,
		Gzip:           !t.DisableCompression,
		Close:          a.Req.Close || t.DisableKeepAlives && len(a.Req.Header["Upgrade"]) == 0,
		ExpectTimeout:  t.ExpectContinueTimeout,
		HeaderTimeout:  t.ResponseHeaderTimeout,
		MaxHeaderBytes: t.MaxResponseHeaderBytes,
		ReadBuffer:     t.ReadBufferSize,
		WriteBuffer:    t.WriteBufferSize,
		Partitioned:    c.partitioned,
	}
	a.running(c.Conn)
	return a.Run()
}

// survives is false: whatever goes wrong on the connection is the end of it.
func (c *http1Conn) survives(http1.End) bool { return false }

// Attach is the pool's.
func (c *http1Conn) Attach(retire func(pool.Reason)) {
	c.retire = retire
	if _, watchable := c.Socket().(syscall.Conn); !watchable {
		c.IdleEnded = c.idleEnded
	}
}

// Probe is called by the pool whenever the connection is about to become idle, and before it is leased
// from there. The first call has the connection watched: not before, since an answer that is closed
// behind may still be read by the first lease.
func (c *http1Conn) Probe() pool.Reason {
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
func (c *http1Conn) PeerClosed() { c.retire(pool.ReasonPeerClosed) }

// idleEnded is called for a connection that the watcher cannot watch.
func (c *http1Conn) idleEnded(found http1.Condition) { c.retire(reasonOf(found)) }

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
func (c *http1Conn) Close() error {
	c.unwatch()
	return c.Conn.Close()
}

// unwatch is for a connection that becomes its caller's, too.
func (c *http1Conn) unwatch() {
	c.watcher.Remove(c.watched)
}
