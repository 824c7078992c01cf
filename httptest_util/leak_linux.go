package httptestutil

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// openSockets returns a description of each open socket of the process, by
// its inode.
func openSockets() map[string]string {
	sockets := map[string]string{}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil // no /proc: the sockets stay unseen
	}
	for _, entry := range entries {
		// A descriptor may be closed while the directory is read.
		inode, err := os.Readlink("/proc/self/fd/" + entry.Name())
		if err != nil || !strings.HasPrefix(inode, "socket:") {
			continue
		}
		if fd, err := strconv.Atoi(entry.Name()); err == nil {
			sockets[inode] = describeSocket(fd)
		}
	}
	return sockets
}

func describeSocket(fd int) string {
	local, _ := syscall.Getsockname(fd)
	remote, _ := syscall.Getpeername(fd)
	return fmt.Sprintf("a socket: descriptor %d, local %s, remote %s", fd, socketAddr(local), socketAddr(remote))
}

func socketAddr(sa syscall.Sockaddr) string {
	switch sa := sa.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)).String()
	case *syscall.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port)).String()
	case *syscall.SockaddrUnix:
		return strconv.Quote(sa.Name)
	}
	return "none"
}
