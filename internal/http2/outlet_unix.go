//go:build unix

package http2

import (
	"os"
	"syscall"
)

// canTry says whether a goroutine can write to a socket without waiting.
const canTry = true

// try writes as many bytes as the system takes at once. The Go runtime ignores SIGPIPE for a socket, so that a broken
// connection is only an error.
func (o *outlet) try(fd uintptr) (done bool) {
	for o.n < len(o.p) {
		n, err := syscall.Write(int(fd), o.p[o.n:])
		switch {
		case n > 0:
			o.n += n
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return true
		default:
			o.failed = os.NewSyscallError("write", err)
			return true
		}
	}
	return true
}
