package http1

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"

	"github.com/peerpool/peerpool/internal/socket"
	"golang.org/x/sys/unix"
)

// askable reports whether this system has what an ask needs.
const askable = true

// cannotSkip is true once the system has refused to skip, as a system that only resembles Linux may.
var cannotSkip atomic.Bool

// skipStep is how many bytes are asked to be skipped at a time.
const skipStep = 1 << 20

// skipper throws away what lies in a TCP socket without copying it (tcp(7), MSG_TRUNC). Its closure is made once.
type skipper struct {
	max int // bytes
	n   int // skipped; 0: the peer closed
	err error
	fn  func(fd uintptr) bool
}

var skippers = sync.Pool{New: func() any {
	s := new(skipper)
	s.fn = func(fd uintptr) bool {
		for {
			n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, fd, 0, uintptr(s.max), unix.MSG_TRUNC|unix.MSG_DONTWAIT, 0, 0)
			switch errno {
			case 0:
				s.n, s.err = int(n), nil
				socket.Acquire(fd)
			case unix.EINTR:
				continue
			case unix.EAGAIN:
				return false // wait
			case unix.EFAULT, unix.EINVAL, unix.ENOSYS, unix.EOPNOTSUPP:
				s.n, s.err = 0, errors.ErrUnsupported
			default:
				s.n, s.err = 0, os.NewSyscallError("recvfrom", errno)
			}
			return true
		}
	}
	return s
}}

// canSkip reports whether the system can throw away what the connection receives.
func (c *Conn) canSkip() bool {
	_, ok := c.nc.(*net.TCPConn)
	return ok && c.raw != nil && !cannotSkip.Load()
}

// skip waits for the first byte, and throws away up to max bytes. Call it only if canSkip returns true and nothing is
// buffered. If it returns [errors.ErrUnsupported], nothing was thrown away, and canSkip returns false from now on.
func (c *Conn) skip(max int64) (int64, error) {
	s := skippers.Get().(*skipper)
	defer skippers.Put(s)
	s.max = int(min(max, skipStep))
	err := c.raw.Read(s.fn)
	if err == nil && s.err == errors.ErrUnsupported {
		cannotSkip.Store(true)
		return 0, s.err
	}
	if err == nil && s.err != nil {
		err = opError("read", c.nc, s.err)
	}
	if err != nil {
		return 0, c.explain(err)
	}
	if s.n == 0 {
		return 0, io.EOF
	}
	return int64(s.n), nil
}
