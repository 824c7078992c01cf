package http1

import (
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// canPeek says whether this system has a receive that takes nothing away.
const canPeek = true

const msgPeek = 2 // MSG_PEEK

var wsaPoll = windows.NewLazySystemDLL("ws2_32.dll").NewProc("WSAPoll")

// pollFD is WSAPOLLFD.
type pollFD struct {
	fd              windows.Handle
	events, revents int16
}

const pollReadNormal = 0x0100 // POLLRDNORM

// peeker looks at what lies in a socket without taking it. Sockets may block here, so it asks first whether a receive
// would.
type peeker struct {
	buf   [peeked]byte
	n     int // -1: nothing is there
	err   error
	fn    func(fd uintptr)
	polls [1]pollFD
}

var peekers = sync.Pool{New: func() any {
	p := new(peeker)
	p.fn = p.look
	return p
}}

func (p *peeker) look(fd uintptr) {
	p.n, p.err = -1, nil
	if !p.readable(fd) {
		return
	}
	buf := windows.WSABuf{Len: uint32(len(p.buf)), Buf: &p.buf[0]}
	var n uint32
	flags := uint32(msgPeek)
	switch err := windows.WSARecv(windows.Handle(fd), &buf, 1, &n, &flags, nil, nil); err {
	case nil:
		p.n = int(n)
	case windows.WSAEMSGSIZE:
		p.n = len(p.buf)
	case windows.WSAEWOULDBLOCK:
	default:
		p.n, p.err = 0, err
	}
}

// readable reports whether a receive would return at once: with bytes, the end, or an error.
func (p *peeker) readable(fd uintptr) bool {
	p.polls[0] = pollFD{fd: windows.Handle(fd), events: pollReadNormal}
	n, _, _ := wsaPoll.Call(uintptr(unsafe.Pointer(&p.polls[0])), 1, 0)
	return int32(n) > 0
}

// peek returns the first bytes that lie in a socket, and how many: 0 if the peer closed, -1 if nothing is there.
func peek(raw syscall.RawConn) (b [peeked]byte, n int, err error) {
	p := peekers.Get().(*peeker)
	defer peekers.Put(p)
	if err := raw.Control(p.fn); err != nil {
		return b, 0, err
	}
	return p.buf, p.n, p.err
}

// holds reports whether bytes lie in a socket, or its end, even while somebody waits for them.
func holds(raw syscall.RawConn) bool {
	if raw == nil {
		return false
	}
	p := peekers.Get().(*peeker)
	defer peekers.Put(p)
	p.n = -1
	_ = raw.Control(func(fd uintptr) {
		if p.readable(fd) {
			p.n = 0
		}
	})
	return p.n >= 0
}
