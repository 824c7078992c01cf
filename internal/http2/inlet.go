package http2

import (
	"net"
	"syscall"

	"github.com/peerpool/peerpool/internal/socket"
)

// inlet reads from a TCP socket as package socket does. If the connection uses TLS, the inlet lies below TLS.
type inlet struct {
	tcp *net.TCPConn
	raw syscall.RawConn
}

// newInlet returns an inlet of tcp, or nil if the system does not support it.
func newInlet(tcp *net.TCPConn) *inlet {
	if !socket.Supported {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	return &inlet{tcp, raw}
}

// Read waits until something arrives, and heeds the read deadline.
func (i *inlet) Read(p []byte) (int, error) { return socket.Read(i.tcp, i.raw, p) }
