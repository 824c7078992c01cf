package http2

import (
	"io"
	"net"
	"syscall"

	"github.com/peerpool/peerpool/internal/socket"
)

// inlet reads from a TCP socket as package net does, except that it calls the system as package socket does. If the connection
// uses TLS, the inlet lies below TLS.
//
// Only the goroutine that reads from the connection calls Read.
type inlet struct {
	tcp     *net.TCPConn
	raw     syscall.RawConn
	attempt func(fd uintptr) bool // the method try, bound once
	p       []byte                // what try reads into
	n       int                   // how many bytes try has read
	failed  error                 // the error of try
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
	i := &inlet{tcp: tcp, raw: raw}
	i.attempt = i.try
	return i
}

// Read is the Read of the TCP connection. It waits until something arrives, and heeds the read deadline.
func (i *inlet) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	i.p = p
	err := i.raw.Read(i.attempt)
	i.p = nil
	if op, ok := err.(*net.OpError); ok {
		err = op.Err
	} else if err == nil {
		err = i.failed
	}
	switch {
	case err != nil:
		return 0, i.error(err)
	case i.n == 0:
		return 0, io.EOF
	}
	return i.n, nil
}

// try reads what has arrived. It returns false if nothing has.
func (i *inlet) try(fd uintptr) (done bool) {
	i.n, i.failed = socket.Receive(fd, i.p)
	return i.n >= 0
}

// error returns the error that package net makes of err.
func (i *inlet) error(err error) error {
	local := i.tcp.LocalAddr()
	return &net.OpError{Op: "read", Net: local.Network(), Source: local, Addr: i.tcp.RemoteAddr(), Err: err}
}
