package http1

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// recv is recv(2). The Recvfrom of x/sys would allocate room for an address that a connected socket does
// not need. With MSG_DONTWAIT it never blocks, so the scheduler need not know of it.
func recv(fd int, b []byte, flags int) (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), uintptr(flags), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
