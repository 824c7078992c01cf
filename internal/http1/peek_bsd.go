//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package http1

import "golang.org/x/sys/unix"

// recv is recv(2).
func recv(fd int, b []byte, flags int) (int, error) {
	n, _, err := unix.Recvfrom(fd, b, flags)
	return n, err
}
