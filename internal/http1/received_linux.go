package http1

import (
	"encoding/binary"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// receivedAt is where struct tcp_info has tcpi_last_data_recv, in milliseconds.
const receivedAt = 52

func sinceReceived(raw syscall.RawConn) (since time.Duration) {
	_ = raw.Control(func(fd uintptr) {
		var info [receivedAt + 4]byte
		size := uint32(len(info))
		_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, fd, unix.IPPROTO_TCP, unix.TCP_INFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
		if errno == 0 && size == uint32(len(info)) {
			since = time.Duration(binary.NativeEndian.Uint32(info[receivedAt:])) * time.Millisecond
		}
	})
	return since
}
