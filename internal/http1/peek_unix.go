//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package http1

import (
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// canPeek says whether this system has a receive that takes nothing away.
const canPeek = true

// peeker looks at what lies in a socket without taking it. Its closure is made once, so that looking allocates
// nothing; and as looking takes but a moment, few peekers serve any number of connections.
type peeker struct {
	buf [peeked]byte
	n   int
	err error
	fn  func(fd uintptr) bool
	ask func(fd uintptr)
}

var peekers = sync.Pool{New: func() any {
	p := new(peeker)
	p.ask = func(fd uintptr) { p.n, p.err = recv(int(fd), p.buf[:], unix.MSG_PEEK|unix.MSG_DONTWAIT) }
	p.fn = func(fd uintptr) bool {
		p.ask(fd)
		return true // never wait
	}
	return p
}}

// peek returns the first bytes that lie in a socket, and how many: 0 if the peer closed, -1 if nothing is there.
func peek(raw syscall.RawConn) (b [peeked]byte, n int, err error) {
	p := peekers.Get().(*peeker)
	defer peekers.Put(p)
	if err := raw.Read(p.fn); err != nil {
		return b, 0, err
	}
	if p.err == unix.EAGAIN || p.err == unix.EINTR { // a bare errno: no chain to search
		return b, -1, nil
	}
	return p.buf, p.n, p.err
}

// holds says that bytes lie in a socket, or its end, also while somebody waits for them.
func holds(raw syscall.RawConn) bool {
	if raw == nil {
		return false
	}
	p := peekers.Get().(*peeker)
	defer peekers.Put(p)
	p.n, p.err = -1, unix.EAGAIN
	_ = raw.Control(p.ask)
	return p.err != unix.EAGAIN && p.err != unix.EINTR
}
