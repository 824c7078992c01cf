//go:build !linux

package planted_test

import (
	"net"
	"time"
)

// acked waits as long as loopback takes at most: nothing tells when the other end's kernel has what has been written.
func acked(net.Conn) { time.Sleep(20 * time.Millisecond) }
