//go:build unix

package socket

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/peerpool/peerpool/internal/nettest"
)

func TestAReadGetsWhatArrivesUpToTheEnd(t *testing.T) {
	ours, theirs := nettest.TCPPair(t)
	in := rest{ours, rawOf(t, ours)}
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

func TestAReadFailsAsPackageNetDoes(t *testing.T) {
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
			ours, theirs := nettest.TCPPair(t)
			raw := rawOf(t, ours)
			test.fail(ours, theirs)
			_, err := Read(ours, raw, make([]byte, 1))
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

// rest is a Reader of what is still to come.
type rest struct {
	nc  net.Conn
	raw syscall.RawConn
}

func (r rest) Read(p []byte) (int, error) { return Read(r.nc, r.raw, p) }

func rawOf(t *testing.T, tcp *net.TCPConn) syscall.RawConn {
	t.Helper()
	raw, err := tcp.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
