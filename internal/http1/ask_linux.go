package http1

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// askable says whether this system has what an ask needs.
const askable = true

// sendNow is send(2) for what fits into the socket at once: how many bytes were taken, which may be none, or -1 and
// the error. It never blocks, so the scheduler need not know of it; and a closed connection raises no signal.
func sendNow(fd int, b []byte) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd),
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

// receiveNow reads what is there: -1 if that is nothing, 0 at the end.
func receiveNow(fd int, b []byte) (int, error) {
	for {
		n, err := recv(fd, b, unix.MSG_DONTWAIT)
		switch err {
		case nil:
			return n, nil
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return -1, nil
		}
		return 0, os.NewSyscallError("read", err)
	}
}
