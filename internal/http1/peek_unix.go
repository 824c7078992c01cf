//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package http1

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// canPeek says whether this system has a receive that takes nothing away.
const canPeek = true

// peeker looks at what lies in a socket without taking it. Its closure is made once, so that looking
// allocates nothing.
type peeker struct {
	buf [12]byte
	n   int // bytes seen; 0: the peer closed; -1: nothing there
	err error
	fn  func(fd uintptr) bool
}

func (p *peeker) init() {
	p.fn = func(fd uintptr) bool {
		p.n, p.err = recv(int(fd), p.buf[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return true // never wait
	}
}

func (p *peeker) run(raw syscall.RawConn) (int, error) {
	if err := raw.Read(p.fn); err != nil {
		return 0, err
	}
	if p.err == unix.EAGAIN || p.err == unix.EINTR { // a bare errno: no chain to search
		return -1, nil
	}
	return p.n, p.err
}
