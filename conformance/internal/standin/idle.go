package standin

import (
	"net"
	"slices"
	"sync"
	"syscall"

	"github.com/peerpool/peerpool"
)

// dialed holds the connections that the clients of test servers have opened. A test's process ends soon.
var dialed struct {
	mu    sync.Mutex
	conns map[*Transport][]net.Conn
}

func remember(t *Transport, c net.Conn) {
	dialed.mu.Lock()
	defer dialed.mu.Unlock()
	if dialed.conns == nil {
		dialed.conns = make(map[*Transport][]net.Conn)
	}
	dialed.conns[t] = append(dialed.conns[t], c)
}

// open returns the remembered connections of t that nobody here has closed.
func open(t *Transport) []net.Conn {
	dialed.mu.Lock()
	defer dialed.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(dialed.conns[t]), func(c net.Conn) bool {
		raw, err := c.(syscall.Conn).SyscallConn()
		return err != nil || raw.Control(func(uintptr) {}) != nil
	})
}

// idleKey writes an identity as net/http writes its key for a pool of connections without a proxy.
func idleKey(id peerpool.Identity) string { return "|" + id.Scheme() + "|" + id.Address() }

// IdleConnKeysForTesting returns the keys under which connections idle, sorted.
func (t *Transport) IdleConnKeysForTesting() []string {
	keys := []string{}
	for _, peer := range t.peer().Stats().Peers {
		if peer.Idle > 0 {
			keys = append(keys, idleKey(peer.Identity))
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// IdleConnKeyCountForTesting returns how many keys there are.
func (t *Transport) IdleConnKeyCountForTesting() int { return len(t.IdleConnKeysForTesting()) }

// IdleConnCountForTesting returns how many connections to one host idle.
func (t *Transport) IdleConnCountForTesting(scheme, addr string) int {
	n := 0
	for _, peer := range t.peer().Stats().Peers {
		if idleKey(peer.Identity) == "|"+scheme+"|"+addr {
			n += peer.Idle
		}
	}
	return n
}

// IdleConnStrsForTesting returns the addresses of idle connections, sorted: those of all open ones, or none if
// none idles. The tests that ask have no request under way.
func (t *Transport) IdleConnStrsForTesting() []string {
	if t.peer().Stats().Idle == 0 {
		return nil
	}
	var ends []string
	for _, c := range open(t) {
		ends = append(ends, c.LocalAddr().String()+"/"+c.RemoteAddr().String())
	}
	slices.Sort(ends)
	return ends
}

// IdleConnStrsForTesting_h2 is the same for HTTP/2, which net/http pools apart.
func (t *Transport) IdleConnStrsForTesting_h2() []string { return t.IdleConnStrsForTesting() }

// IdleConnWaitMapSizeForTesting returns how many requests wait for a connection.
func (t *Transport) IdleConnWaitMapSizeForTesting() int { return t.peer().Stats().Waiting }

// NumPendingRequestsForTesting returns how many connections serve a request, and how many requests wait for one.
func (t *Transport) NumPendingRequestsForTesting() int {
	s := t.peer().Stats()
	return s.Active + s.Waiting
}

// ExportCloseTransportConnsAbruptly closes the connections of t behind its back.
func ExportCloseTransportConnsAbruptly(t *Transport) {
	for _, c := range open(t) {
		c.Close()
	}
}
