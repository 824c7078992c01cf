//go:build (linux && race) || darwin || dragonfly || freebsd || netbsd || openbsd

package socket

import "golang.org/x/sys/unix"

// Peek returns how many of the bytes that have arrived fit into b, and copies these, but does not receive them. It returns -1
// if nothing has arrived, or if a signal interrupts it. At the end of the stream, it returns 0. If it fails, it returns 0 and
// an error. Several goroutines may look at a socket at the same time, also while another one receives.
func Peek(fd uintptr, b []byte) (int, error) {
	n, _, err := unix.Recvfrom(int(fd), b, unix.MSG_PEEK|unix.MSG_DONTWAIT)
	switch err {
	case nil:
		return n, nil
	case unix.EINTR, unix.EAGAIN:
		return -1, nil
	}
	return 0, err
}
