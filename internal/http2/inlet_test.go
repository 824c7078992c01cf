//go:build unix

package http2

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

func TestAnInletReadsWhatArrivesUpToTheEnd(t *testing.T) {
	ours, theirs := tcpPair(t)
	in := newInlet(ours)
	go func() {
		theirs.Write([]byte("some"))
		theirs.CloseWrite()
	}()
	if n, err := in.Read(nil); n != 0 || err != nil {
		t.Errorf("no room: %d, %v", n, err)
	}
	if got, err := io.ReadAll(in); string(got) != "some" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestAnInletFailsAsPackageNetDoes(t *testing.T) {
	for _, test := range []struct {
		name string
		fail func(ours, theirs *net.TCPConn)
		want error
	}{
		{"deadline", func(ours, _ *net.TCPConn) { ours.SetReadDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
		{"closed", func(ours, _ *net.TCPConn) { ours.Close() }, net.ErrClosed},
		{"reset", func(_, theirs *net.TCPConn) { theirs.SetLinger(0); theirs.Close() }, syscall.ECONNRESET},
	} {
		t.Run(test.name, func(t *testing.T) {
			ours, theirs := tcpPair(t)
			in := newInlet(ours)
			test.fail(ours, theirs)
			_, err := in.Read(make([]byte, 1))
			op, ok := err.(*net.OpError)
			if !ok || !errors.Is(err, test.want) {
				t.Fatalf("%T %v", err, err)
			}
			if op.Op != "read" || op.Net != "tcp" || op.Source != ours.LocalAddr() || op.Addr != ours.RemoteAddr() {
				t.Errorf("%+v", op)
			}
		})
	}
}
