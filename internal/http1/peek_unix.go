//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package http1

import (
	"sync"
	"syscall"

	"github.com/peerpool/peerpool/internal/socket"
)

// canPeek says whether this system has a receive that takes nothing away.
const canPeek = true

// peeker looks at what lies in a socket without taking it. Its closure is made once, so that a look allocates nothing. A look
// does not wait, so few peekers serve any number of connections.
type peeker struct {
	buf  [peeked]byte
	n    int // -1: nothing is there
	err  error
	look func(fd uintptr)
}

var peekers = sync.Pool{New: func() any {
	p := new(peeker)
	p.look = func(fd uintptr) { p.n, p.err = socket.Peek(fd, p.buf[:]) }
	return p
}}

// peek returns the first bytes that lie in a socket, and how many: 0 if the peer has closed, -1 if there are none. Others may
// wait for bytes at the same time.
func peek(raw syscall.RawConn) (b [peeked]byte, n int, err error) {
	p := peekers.Get().(*peeker)
	defer peekers.Put(p)
	if err := raw.Control(p.look); err != nil {
		return b, 0, err
	}
	return p.buf, p.n, p.err
}

// holds reports whether bytes lie in a socket, or its end. A socket that is closed holds nothing.
func holds(raw syscall.RawConn) bool {
	if raw == nil {
		return false
	}
	p := peekers.Get().(*peeker)
	defer peekers.Put(p)
	return raw.Control(p.look) == nil && p.n >= 0
}
