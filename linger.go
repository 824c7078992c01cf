package peerpool

import (
	"sync"
	"time"
	"unique"

	"github.com/peerpool/peerpool/internal/http1"
)

// lingering holds connections that the pool has closed, and whose sockets stay open for a moment so that the Transport sees
// what their peers do. Such a connection takes no request and counts toward no limit. There is at most one of an identity.
type lingering struct {
	mu    sync.Mutex // guards conns; nothing is called, and nothing is closed, while it is held
	conns map[unique.Handle[Identity]]*lingerer
}

type lingerer struct {
	conn  *http1Conn
	timer *time.Timer
}

// keep keeps the socket of a connection open for d. It then calls ended with what a probe has found, and closes the socket. It
// returns false and does nothing if another connection of the identity lingers.
func (l *lingering) keep(c *http1Conn, d time.Duration, ended func(http1.Condition)) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conns[c.route.id] != nil {
		return false
	}
	if l.conns == nil {
		l.conns = make(map[unique.Handle[Identity]]*lingerer)
	}
	one := &lingerer{conn: c}
	l.conns[c.route.id] = one
	one.timer = time.AfterFunc(d, func() {
		if l.remove(one) {
			ended(c.Conn.Probe())
		}
		c.Conn.Close()
	})
	return true
}

// remove returns false if the connection does not linger any more.
func (l *lingering) remove(one *lingerer) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conns[one.conn.route.id] != one {
		return false
	}
	delete(l.conns, one.conn.route.id)
	return true
}

// stop closes all sockets.
func (l *lingering) stop() {
	l.mu.Lock()
	all := l.conns
	l.conns = nil
	l.mu.Unlock()
	for _, one := range all {
		if one.timer.Stop() { // otherwise the timer closes the socket
			one.conn.Conn.Close()
		}
	}
}

// linger keeps the socket of a connection open for a while if that can show something about its peer. It returns false if
// the socket is to be closed now.
func (c *http1Conn) linger() bool {
	core := c.route.t.core
	if q := &core.quarantine; q.count.Load() > 0 && q.holds(c.route.id) {
		return core.lingering.keep(c, watchTime, c.watchEnds)
	}
	if n := int(c.route.learned.limits.requests.Load()); n != 0 {
		return core.lingering.keep(c, keptTime, func(found http1.Condition) { c.limitTried(n, found) })
	}
	return false
}
