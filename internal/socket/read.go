package socket

import (
	"io"
	"net"
	"sync"
	"syscall"
)

// reader is one call of Read. Its closure is made once, so that a Read allocates nothing.
type reader struct {
	p       []byte
	n       int
	err     error
	receive func(fd uintptr) (done bool)
}

var readers = sync.Pool{New: func() any {
	r := new(reader)
	r.receive = func(fd uintptr) bool {
		r.n, r.err = Receive(fd, r.p)
		return r.n >= 0
	}
	return r
}}

// Read is the Read of nc, which must be a socket of package net, except that it calls the system as Receive does. raw is what
// nc.SyscallConn returns. Read waits until something arrives, heeds the read deadline, and returns the errors of nc. Call it
// only if Supported is true.
func Read(nc net.Conn, raw syscall.RawConn, p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	r := readers.Get().(*reader)
	r.p = p
	err := raw.Read(r.receive)
	n, failed := r.n, r.err
	r.p, r.err = nil, nil
	readers.Put(r)
	if op, ok := err.(*net.OpError); ok {
		err = op.Err
	} else if err == nil {
		err = failed
	}
	switch {
	case err != nil:
		local := nc.LocalAddr()
		return 0, &net.OpError{Op: "read", Net: local.Network(), Source: local, Addr: nc.RemoteAddr(), Err: err}
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}
