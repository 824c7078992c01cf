package http1

import "time"

// SinceReceived returns how long ago bytes of the peer have last arrived in the socket, whether or not they have been read
// since. It returns 0 if the system does not tell. The resolution is that of the kernel's clock: a few milliseconds.
//
// A program that is short of processor time reads a response late, and so believes that the connection has been idle
// for less time than it has.
func (c *Conn) SinceReceived() time.Duration {
	if c.raw == nil {
		return 0
	}
	return sinceReceived(c.raw)
}
