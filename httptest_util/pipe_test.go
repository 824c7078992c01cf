package httptestutil_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

func wantIs(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got error %v, want %v", what, err, want)
	}
}

func readString(t *testing.T, r io.Reader) string {
	t.Helper()
	buf := make([]byte, 100)
	n, err := r.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

func TestAPipeBuffersWithoutBound(t *testing.T) {
	a, b := httptestutil.Pipe(0)
	sent := bytes.Repeat([]byte("x"), 1<<20)
	if n, err := a.Write(sent); n != len(sent) || err != nil {
		t.Fatalf("wrote %d, %v", n, err)
	}
	a.Close()
	got, err := io.ReadAll(b)
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
}

func TestAPipeWithABoundHoldsTheWriterUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := httptestutil.Pipe(4)
		var wrote int
		go func() { wrote, _ = a.Write([]byte("0123456789")) }()
		synctest.Wait()
		wantEqual(t, "written too early", wrote, 0)
		wantEqual(t, "first read", readString(t, b), "0123")
		synctest.Wait()
		wantEqual(t, "second read", readString(t, b), "4567")
		synctest.Wait()
		wantEqual(t, "written", wrote, 10)
		wantEqual(t, "third read", readString(t, b), "89")
	})
}

func TestAHalfCloseLeavesTheOtherDirectionOpen(t *testing.T) {
	a, b := httptestutil.Pipe(0)
	write(t, a, "last")
	if err := a.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "last bytes", readString(t, b), "last")
	_, err := b.Read(make([]byte, 1))
	wantEqual(t, "end", err, io.EOF)
	write(t, b, "reply")
	wantEqual(t, "reply", readString(t, a), "reply")
	_, err = a.Write([]byte("more"))
	wantIs(t, "write after CloseWrite", err, syscall.EPIPE)
}

func TestAClosedEndFailsAndItsPeerReadsTheRestAndTheEnd(t *testing.T) {
	a, b := httptestutil.Pipe(0)
	write(t, a, "rest")
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	wantIs(t, "second Close", a.Close(), net.ErrClosed)
	_, err := a.Read(make([]byte, 1))
	wantIs(t, "read", err, net.ErrClosed)
	_, err = a.Write([]byte("x"))
	wantIs(t, "write", err, net.ErrClosed)
	wantIs(t, "deadline", a.SetDeadline(time.Now()), net.ErrClosed)

	_, err = b.Write([]byte("x"))
	wantIs(t, "peer's write", err, syscall.EPIPE)
	wantEqual(t, "peer's read", readString(t, b), "rest")
	_, err = b.Read(make([]byte, 1))
	wantEqual(t, "peer's end", err, io.EOF)
}

func TestAResetIsReadAfterTheRestAndFailsWritesAtOnce(t *testing.T) {
	a, b := httptestutil.Pipe(0)
	write(t, a, "rest")
	if err := a.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if err := a.Reset(); err != nil {
		t.Fatal(err)
	}
	_, err := b.Write([]byte("x"))
	wantIs(t, "write", err, syscall.ECONNRESET)
	wantEqual(t, "rest", readString(t, b), "rest")
	_, err = b.Read(make([]byte, 1))
	wantIs(t, "read", err, syscall.ECONNRESET)
}

func TestClosingWakesThoseWhoWait(t *testing.T) {
	for name, c := range map[string]struct {
		end         func(a, b *httptestutil.PipeConn) error
		read, write error
	}{
		"own close":    {func(a, _ *httptestutil.PipeConn) error { return a.Close() }, net.ErrClosed, net.ErrClosed},
		"peer's close": {func(_, b *httptestutil.PipeConn) error { return b.Close() }, io.EOF, syscall.EPIPE},
		"peer's reset": {func(_, b *httptestutil.PipeConn) error { return b.Reset() }, syscall.ECONNRESET, syscall.ECONNRESET},
	} {
		synctest.Test(t, func(t *testing.T) {
			a, b := httptestutil.Pipe(1)
			var readErr, writeErr error
			go func() { _, readErr = a.Read(make([]byte, 1)) }()
			go func() { _, writeErr = a.Write([]byte("too long")) }()
			synctest.Wait()
			if err := c.end(a, b); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			wantIs(t, name+": read", readErr, c.read)
			wantIs(t, name+": write", writeErr, c.write)
		})
	}
}

func TestADeadlineEndsWaitingAndCanBeTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := httptestutil.Pipe(1)
		start := time.Now()
		if err := a.SetDeadline(start.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		_, err := a.Read(make([]byte, 1))
		wantIs(t, "read", err, os.ErrDeadlineExceeded)
		wantEqual(t, "waited", time.Since(start), time.Minute)
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("%v is not a timeout", err)
		}

		write(t, b, "x")
		_, err = a.Read(make([]byte, 1))
		wantIs(t, "read of what is there", err, os.ErrDeadlineExceeded)
		_, err = a.Write([]byte("x"))
		wantIs(t, "write", err, os.ErrDeadlineExceeded)

		if err := a.SetDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "read without a deadline", readString(t, a), "x")
		write(t, a, "y")
		wantEqual(t, "written without a deadline", readString(t, b), "y")
	})
}

func TestADeadlineInThePastWakesAReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := httptestutil.Pipe(0)
		var err error
		go func() { _, err = a.Read(make([]byte, 1)) }()
		synctest.Wait()
		if err := a.SetReadDeadline(time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		wantIs(t, "read", err, os.ErrDeadlineExceeded)
	})
}

func TestAListenerInMemoryAcceptsWhatIsDialed(t *testing.T) {
	l := httptestutil.NewListener(0)
	client, err := l.Dial(t.Context(), "tcp", "10.1.2.3:80")
	if err != nil {
		t.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	write(t, client, "hello")
	wantEqual(t, "read", readString(t, server), "hello")
	wantEqual(t, "address of the server", client.RemoteAddr().String(), "10.1.2.3:80")
	wantEqual(t, "address of the client", server.RemoteAddr().String(), client.LocalAddr().String())
	wantEqual(t, "dials", l.Dials(), 1)
}

func TestAClosedListenerRefusesAndResetsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := httptestutil.NewListener(0)
		waiting, err := l.Dial(t.Context(), "tcp", "x:80")
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		_, err = waiting.Read(make([]byte, 1))
		wantIs(t, "one that nobody accepted", err, syscall.ECONNRESET)
		_, err = l.Accept()
		wantIs(t, "Accept", err, net.ErrClosed)
		_, err = l.Dial(t.Context(), "tcp", "x:80")
		wantIs(t, "Dial", err, syscall.ECONNREFUSED)

		l = httptestutil.NewListener(0)
		go func() { _, err = l.Accept() }()
		synctest.Wait()
		l.Close()
		synctest.Wait()
		wantIs(t, "waiting Accept", err, net.ErrClosed)
	})
}

func TestDialingWithADoneContextFails(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l := httptestutil.NewListener(0)
	_, err := l.Dial(ctx, "tcp", "x:80")
	wantIs(t, "Dial", err, context.Canceled)
	wantEqual(t, "dials", l.Dials(), 0)
}

func TestAnOriginWorksInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := httptestutil.NewListener(0)
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Listener: l, CA: httptestutil.NewCA(t)})
		client := newClient(t, o.ClientTLS(), func(tr *http.Transport) {
			tr.DialContext = o.Dial
			tr.IdleConnTimeout = time.Hour
		})
		wantEqual(t, "conn", getIdle(t, client, o.URL()).Conn, 1)
		time.Sleep(time.Hour - time.Second)
		wantEqual(t, "conn before the timeout", getIdle(t, client, o.URL()).Conn, 1)
		time.Sleep(time.Hour + time.Second)
		wantEqual(t, "conn after the timeout", getIdle(t, client, o.URL()).Conn, 2)
	})
}

func TestAWireWorksInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := httptestutil.NewListener(0)
		w := httptestutil.NewWireWith(t, httptestutil.WireOptions{Listener: l, Bound: time.Hour},
			httptestutil.ReplyThenStall(""))
		client := newClient(t, nil, func(tr *http.Transport) {
			tr.DialContext = l.Dial
			tr.ResponseHeaderTimeout = time.Minute
		})
		start := time.Now()
		_, _, err := tryGet(t, client, w.URL())
		wantError(t, err, "timeout")
		wantEqual(t, "waited", time.Since(start), time.Minute)
		if err := w.WaitClientClosed(1); err != nil {
			t.Error(err)
		}
	})
}

func TestTLSRunsOverAPipe(t *testing.T) {
	ca := httptestutil.NewCA(t)
	a, b := httptestutil.Pipe(1000)
	server := tls.Server(b, &tls.Config{Certificates: []tls.Certificate{ca.Server()}})
	go func() {
		if _, err := io.Copy(server, server); err != nil {
			t.Error(err)
		}
		server.Close()
	}()
	client := tls.Client(a, &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost"})
	write(t, client, "hello")
	wantEqual(t, "echo", readString(t, client), "hello")
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("got %v, want io.EOF", err)
	}
}
