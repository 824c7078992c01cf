//go:build unix

package http2

import (
	"os"
	"syscall"
)

// canTry says whether writing can be tried without waiting.
const canTry = true

// try writes what the system takes at once. The runtime lets no signal of a broken pipe through.
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
