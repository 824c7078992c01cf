package peerpool

import (
	"sync"
	"sync/atomic"
	"unique"

	"github.com/peerpool/peerpool/pool"
)

// maxLearned bounds the identities of which we remember what they speak. The memory outlives their connections, so
// that the next burst of requests knows how many to dial.
const maxLearned = 1024

// learned is what the connections of one identity have shown. It is safe for concurrent use.
type learned struct {
	protocol  atomic.Int32 // a speaks
	streams   atomic.Int32 // that an HTTP/2 server allowed at a time, when last heard; 0: none has said
	onlyHTTP1 atomic.Bool  // the server wants HTTP/1.1, although it offers HTTP/2
}

// speaks is a protocol that a connection speaks.
type speaks = int32

const (
	unknown speaks = iota
	speaksHTTP1
	speaksHTTP2
)

// expect is the number of requests at once that a new connection may serve, for the pool.
func (l *learned) expect() int {
	switch l.protocol.Load() {
	case speaksHTTP1:
		return 0
	case speaksHTTP2:
		if n := int(l.streams.Load()); n > 0 {
			return n
		}
	}
	return pool.ExpectUnknown
}

// allows notes how many streams the server allows.
func (l *learned) allows(streams int) {
	if streams > 0 {
		l.streams.Store(int32(streams))
	}
}

// memory holds what has been learned, of the identities that were asked for most recently.
type memory struct {
	mu          sync.Mutex // guards the maps; nothing is called under it
	young, aged map[unique.Handle[Identity]]*learned
}

// of returns what has been learned of an identity.
func (m *memory) of(id unique.Handle[Identity]) *learned {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.young[id]
	if l != nil {
		return l
	}
	if l = m.aged[id]; l == nil {
		l = new(learned)
	}
	if m.young == nil || len(m.young) >= maxLearned/2 {
		m.young, m.aged = make(map[unique.Handle[Identity]]*learned), m.young
	}
	m.young[id] = l
	return l
}
