package peerpool

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	"github.com/peerpool/peerpool/pool"
)

// maxLearned is the largest number of identities about which the Transport remembers what they have shown. The memory
// outlives the connections, so that the next burst of requests knows how many connections to dial.
const maxLearned = 1024

// learned holds what the connections of one identity have shown. It is safe for concurrent use.
type learned struct {
	protocol   atomic.Int32 // one of the values of type speaks
	streams    atomic.Int32 // how many streams an HTTP/2 server allowed when it last said so; 0 if it never has
	pingAfter  atomic.Int64 // nanoseconds between PINGs without data that an HTTP/2 server has asked for; 0 if it has not
	http1Until atomic.Int64 // nanoseconds since epoch, see wantHTTP1; 0 if the server has not asked for HTTP/1.1
	looks      atomic.Bool  // handshakes look something up in the request's context, see handshakeContext
	limits     limits       // limits that its closes have shown

	addresses atomic.Pointer[addressBook] // set only if the identity is that of a host with several addresses
}

// http1Memory is how long the Transport speaks HTTP/1.1 to a server that has asked for it although it offers HTTP/2. The
// server may have asked because of one resource, or of one configuration, and to find that out costs one request that is
// sent twice.
const http1Memory = 10 * time.Minute

// wantHTTP1 notes that the server wants HTTP/1.1 (RFC 9113 section 7, HTTP_1_1_REQUIRED).
func (l *learned) wantHTTP1() {
	l.http1Until.Store(int64(time.Since(epoch) + http1Memory))
	lessons.Add(1)
}

// wantsHTTP1 reports whether the server has asked for HTTP/1.1 within the last http1Memory.
func (l *learned) wantsHTTP1() bool { return isBefore(l.http1Until.Load()) }

// isBefore reports whether until, in nanoseconds since epoch, is set and has not passed yet.
func isBefore(until int64) bool { return until != 0 && int64(time.Since(epoch)) < until }

// lessons counts the news that the connections of all identities have shown. While it has not changed, a host need not look
// at all its addresses for each request.
var lessons atomic.Uint64

// spoke notes which protocol a connection speaks.
func (l *learned) spoke(protocol speaks) {
	if l.protocol.Swap(protocol) != protocol {
		lessons.Add(1)
	}
}

// looked notes that a handshake has looked something up in the context of its request.
func (l *learned) looked() {
	if !l.looks.Swap(true) {
		lessons.Add(1)
	}
}

// hostLessons holds what the connections to the addresses of a host have shown. It is never changed.
type hostLessons struct {
	counted    uint64      // value of lessons at that time
	members    *memberList // members of the host at that time
	expect     int         // learned.expect of one of the addresses
	looks      bool        // set if it is set for any address
	http1Until int64       // the latest one of any address
	bounding   []*route    // the addresses with limits that a request may have to keep to
}

func (l *hostLessons) wantsHTTP1() bool { return isBefore(l.http1Until) }

// lessons returns what the addresses of the host have shown.
func (h *host) lessons() *hostLessons {
	counted, members := lessons.Load(), h.members.Load()
	if known := h.shown.Load(); known != nil && known.counted == counted && known.members == members {
		return known
	}
	l := &hostLessons{counted: counted, members: members, expect: pool.ExpectUnknown}
	for _, m := range members.all {
		if expect := m.learned.expect(); expect != pool.ExpectUnknown {
			l.expect = expect
		}
		l.looks = l.looks || m.learned.looks.Load()
		l.http1Until = max(l.http1Until, m.learned.http1Until.Load())
		if m.learned.limits.bounding() {
			l.bounding = append(l.bounding, m)
		}
	}
	h.shown.Store(l)
	return l
}

// speaks is a protocol that a connection speaks.
type speaks = int32

const (
	unknown speaks = iota
	speaksHTTP1
	speaksHTTP2
)

// expect returns how many requests a new connection may serve at the same time, in the terms of the pool.
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

// addressBook returns the book of the addresses of a host. The first call makes it.
func (l *learned) addressBook() *addressBook {
	if l.addresses.Load() == nil {
		l.addresses.CompareAndSwap(nil, &addressBook{state: make(map[netip.AddrPort]*addressState)})
	}
	return l.addresses.Load()
}

// allows notes how many streams the server allows.
func (l *learned) allows(streams int) {
	if streams > 0 && l.streams.Swap(int32(streams)) != int32(streams) {
		lessons.Add(1)
	}
}

// memory holds what has been learned about the identities that were used last.
type memory struct {
	mu          sync.Mutex // guards the maps; nothing is called while it is held
	young, aged map[unique.Handle[Identity]]*learned
}

// of returns what has been learned about an identity.
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
