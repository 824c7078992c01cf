package planted_test

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// acked waits until the other end's kernel has all that has been written to a socket: the network, loopback included,
// takes its time.
func acked(nc net.Conn) {
	raw, err := nc.(syscall.Conn).SyscallConn()
	if err != nil {
		return
	}
	for left := 1; left > 0; time.Sleep(10 * time.Microsecond) {
		if raw.Control(func(fd uintptr) { left, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }) != nil || err != nil {
			return
		}
	}
}
