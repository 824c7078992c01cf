//go:build linux && !race

package socket

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Supported reports whether this system has Send and Receive.
const Supported = true

// Send sends as many bytes of b as the socket takes at once. It returns how many these are, which may be zero, or -1 and an
// error. A closed connection raises no signal.
func Send(fd uintptr, b []byte) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, fd,
			uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return 0, nil
		}
		return -1, os.NewSyscallError("write", errno)
	}
}

// Receive receives what has arrived, but no more than fits into b. It returns -1 if nothing has arrived. At the end of the
// stream, it returns 0. If it fails, it returns 0 and an error.
func Receive(fd uintptr, b []byte) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, fd,
			uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return -1, nil
		}
		return 0, os.NewSyscallError("read", errno)
	}
}

// Peek returns how many of the bytes that have arrived fit into b, and copies these, but does not receive them. It returns -1
// if nothing has arrived, or if a signal interrupts it. At the end of the stream, it returns 0. If it fails, it returns 0 and
// an error. Several goroutines may look at a socket at the same time, also while another one receives.
func Peek(fd uintptr, b []byte) (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, fd,
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_PEEK|unix.MSG_DONTWAIT, 0, 0)
	switch errno {
	case 0:
		return int(n), nil
	case unix.EINTR, unix.EAGAIN:
		return -1, nil
	}
	return 0, errno
}

// Acquire tells the race detector that bytes have been received in another way than with Receive.
func Acquire(uintptr) {}
