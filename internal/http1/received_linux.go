package http1

import (
	"encoding/binary"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tcpInfo is the beginning of struct tcp_info.
type tcpInfo [receivedAt + 8]byte

const (
	stateAt       = unsafe.Offsetof(unix.TCPInfo{}.State)
	lastReceiveAt = unsafe.Offsetof(unix.TCPInfo{}.Last_data_recv) // in milliseconds
	receivedAt    = unsafe.Offsetof(unix.TCPInfo{}.Bytes_received)
)

// infoOf fills in info. It returns false if the system does not give all of it: the socket is not one of TCP, or the kernel is
// older than 4.1.
func infoOf(fd uintptr, info *tcpInfo) bool {
	size := uint32(len(info))
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, fd, unix.IPPROTO_TCP, unix.TCP_INFO,
		uintptr(unsafe.Pointer(info)), uintptr(unsafe.Pointer(&size)), 0)
	return errno == 0 && size == uint32(len(info))
}

func sinceReceived(raw syscall.RawConn) (since time.Duration) {
	_ = raw.Control(func(fd uintptr) {
		var info tcpInfo
		if infoOf(fd, &info) {
			since = time.Duration(binary.NativeEndian.Uint32(info[lastReceiveAt:])) * time.Millisecond
		}
	})
	return since
}

// established is a state of a socket: neither end has closed it.
const established = 1

// receivedBy returns how many bytes a socket of TCP has received since it was opened, and whether the peer can still send. If
// the system does not tell, receivedBy returns -1.
func receivedBy(raw syscall.RawConn) (received int64, open bool) {
	received = -1
	if raw == nil {
		return received, false
	}
	_ = raw.Control(func(fd uintptr) {
		var info tcpInfo
		if infoOf(fd, &info) {
			received, open = int64(binary.NativeEndian.Uint64(info[receivedAt:])), info[stateAt] == established
		}
	})
	return received, open
}

// queuedIn returns how many bytes lie in a socket.
func queuedIn(raw syscall.RawConn) (queued int64) {
	_ = raw.Control(func(fd uintptr) {
		n, err := unix.IoctlGetInt(int(fd), unix.SIOCINQ)
		if err == nil {
			queued = int64(n)
		}
	})
	return queued
}
