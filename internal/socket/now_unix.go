//go:build unix && (!linux || race)

package socket

import (
	"os"
	"syscall"
)

// Supported reports whether this system has Send and Receive.
const Supported = true

// Send sends as many bytes of b as the socket takes at once. It returns how many these are, which may be zero, or -1 and an
// error. The Go runtime ignores the signal that a closed connection raises.
func Send(fd uintptr, b []byte) (int, error) {
	for {
		n, err := syscall.Write(int(fd), b)
		switch err {
		case nil:
			return n, nil
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return 0, nil
		}
		return -1, os.NewSyscallError("write", err)
	}
}

// Receive receives what has arrived, but no more than fits into b. It returns -1 if nothing has arrived. At the end of the
// stream, it returns 0. If it fails, it returns 0 and an error.
func Receive(fd uintptr, b []byte) (int, error) {
	for {
		n, err := syscall.Read(int(fd), b)
		switch err {
		case nil:
			return n, nil
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return -1, nil
		}
		return 0, os.NewSyscallError("read", err)
	}
}

// Acquire tells the race detector that bytes have been received in another way than with Receive.
func Acquire(fd uintptr) { syscall.Read(int(fd), nil) }
