package http1

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// cannotSkip says that the system has refused to, as one that only resembles Linux may.
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

// canSkip says whether the system can throw away what the connection receives.
func (c *Conn) canSkip() bool {
	_, ok := c.nc.(*net.TCPConn)
	return ok && c.raw != nil && !cannotSkip.Load()
}

// skip throws away up to max bytes, after waiting for the first of them. It is for a connection that canSkip, when
// nothing is buffered. [errors.ErrUnsupported] says that nothing was thrown away and nothing will be.
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
