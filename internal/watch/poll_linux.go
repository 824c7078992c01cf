package watch

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// supported reports whether this system can watch sockets.
const supported = true

// batch is how many events are fetched with one system call.
const batch = 64

// poller is an epoll set whose descriptor waits in Go's own poller. Any goroutine may call add and remove while the
// poller is open. Only one goroutine at a time may call wait.
type poller struct {
	fd     int
	file   *os.File
	raw    syscall.RawConn
	events [batch]unix.EpollEvent // the result of fetch
	n      int                    // the number of events
	fetch  func(fd uintptr) bool  // made once, so that wait allocates nothing
}

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil { // otherwise os.NewFile would not give it to Go's poller
		unix.Close(fd)
		return nil, err
	}
	p := &poller{fd: fd, file: os.NewFile(uintptr(fd), "epoll")}
	if err := p.file.SetReadDeadline(time.Time{}); err != nil { // Go's poller did not take it
		p.file.Close()
		return nil, err
	}
	if p.raw, err = p.file.SyscallConn(); err != nil {
		p.file.Close()
		return nil, err
	}
	p.fetch = func(uintptr) bool {
		p.n = fetchEvents(p.fd, p.events[:])
		return p.n > 0
	}
	return p, nil
}

// fetchEvents stores the events that there are now in events, and returns their number. It does not wait.
func fetchEvents(fd int, events []unix.EpollEvent) int {
	for {
		n, err := unix.EpollWait(fd, events, 0)
		if err == unix.EINTR {
			continue
		}
		return max(n, 0) // no other error is possible with an open set
	}
}

// errNotAsked is the error if a connection did not call the function that Control got.
var errNotAsked = errors.New("watch: the connection does not show its descriptor")

// change is one change of a set. Its closure is made once, so that adding and removing a socket allocates nothing. A
// change takes only a moment, so a few serve any number of sockets.
type change struct {
	set   int // the descriptor
	op    int
	event unix.EpollEvent
	err   error
	apply func(fd uintptr)
}

var changes = sync.Pool{New: func() any {
	c := new(change)
	c.apply = func(fd uintptr) { c.err = unix.EpollCtl(c.set, c.op, int(fd), &c.event) }
	return c
}}

func (p *poller) change(raw syscall.RawConn, op int, event unix.EpollEvent) error {
	c := changes.Get().(*change)
	defer changes.Put(c)
	c.set, c.op, c.event, c.err = p.fd, op, event, errNotAsked
	if err := raw.Control(c.apply); err != nil {
		return err
	}
	return c.err
}

// The events that a socket may be watched for.
const (
	gone  = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
	input = unix.EPOLLIN
)

// add watches the socket, edge-triggered: a socket in the set costs nothing until its state changes. A state that it
// already has counts as a change.
func (p *poller) add(raw syscall.RawConn, events uint32, token uint64) error {
	events |= unix.EPOLLET
	return p.change(raw, unix.EPOLL_CTL_ADD, unix.EpollEvent{Events: events, Fd: int32(token), Pad: int32(token >> 32)})
}

// remove stops watching the socket. A socket that is closed has left the set by itself, and its descriptor may belong
// to another socket by now. In that case, Control fails.
func (p *poller) remove(socket syscall.Conn) {
	if raw, err := socket.SyscallConn(); err == nil {
		_ = p.change(raw, unix.EPOLL_CTL_DEL, unix.EpollEvent{})
	}
}

// wait blocks until sockets have events, and returns the tokens of some of them. It fails when the poller is closed.
func (p *poller) wait(tokens *[batch]uint64) (int, error) {
	if err := p.raw.Read(p.fetch); err != nil {
		return 0, err
	}
	for i, event := range p.events[:p.n] {
		tokens[i] = uint64(uint32(event.Fd)) | uint64(uint32(event.Pad))<<32
	}
	return p.n, nil
}

// close ends wait, and returns when the descriptor is free.
func (p *poller) close() { p.file.Close() }
