package http1

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/exchange"
)

func TestAConnectionKnowsItsSocket(t *testing.T) {
	probed(t, httptestutil.Replies(hello), func(t *testing.T, c *Conn) {
		under := c.NetConn()
		if over, is := under.(*tls.Conn); is {
			under = over.NetConn()
		}
		if layer, is := under.(*records); is {
			under = layer.tcp
		}
		if c.Socket() != under {
			t.Errorf("the socket is a %T", c.Socket())
		}
	})
}

func TestTheFirstCauseOfAnAbortStays(t *testing.T) {
	with(t, 0, readsTheRest, func(t *testing.T, c *Conn) {
		c.Abort(errReason)
		c.Abort(errRead)
		if _, err := c.Read(make([]byte, 1)); err != errReason {
			t.Errorf("reading returns %v", err)
		}
		if _, err := c.Write(make([]byte, 1)); err != errReason {
			t.Errorf("writing returns %v", err)
		}
		if err := c.Close(); err != nil {
			t.Errorf("closing returns %v", err)
		}
	})
}

// Buffers grow with what has to fit.
func TestBuffersMayBeOfAnySize(t *testing.T) {
	answer := strings.Replace(chunkedHead, "\r\n\r\n", "\r\nX-Long: "+strings.Repeat("x", 10000)+"\r\n\r\n", 1) +
		chunksOf(strings.Repeat("hello", 2000), 100)
	for _, size := range []int{1, 16, DefaultBufferSize, 1 << 20} {
		with(t, 0, answers(answer), func(t *testing.T, c *Conn) {
			req := request(t, http.MethodPost, "http://example.test/", strings.NewReader(strings.Repeat("x", maxInline)))
			e := exchangeOn(c, req)
			e.Opts.ReadBuffer, e.Opts.WriteBuffer = size, size
			wantBody(t, run(t, e), strings.Repeat("hello", 2000))
			wantEnd(t, e, exchange.Reusable)
		})
	}
}

// arrivesLate returns a connection on which an answer arrives as it is being closed.
func arrivesLate(first, last string) *lastGasp {
	return &lastGasp{pieces: pieces{data: []byte(first), piece: 1 << 10}, closed: make(chan struct{}), last: []byte(last)}
}

// The code that closes the connection has already reported why.
func TestWhatArrivesAsTheConnectionIsClosedIsTooLate(t *testing.T) {
	t.Run("a head behind its timeout", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			e := exchangeOn(NewConn(arrivesLate("", hello)), get(t))
			e.Opts.HeaderTimeout = time.Second
			if err := runFails(t, e); err != ErrHeaderTimeout {
				t.Errorf("the error is %v", err)
			}
			wantEnd(t, e, exchange.EndTimeout)
		})
	})
	t.Run("a rest behind its time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			e := exchangeOn(NewConn(arrivesLate(length10, "0123456789")), get(t))
			run(t, e).Body.Close()
			wantEnd(t, e, exchange.EndTimeout)
		})
	})
	t.Run("an upgrade behind its cancellation", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			req, cancel := cancelable(upgradeRequest(t))
			time.AfterFunc(time.Second, func() { cancel(errReason) })
			e := exchangeOn(NewConn(arrivesLate("", switching)), req)
			if err := runFails(t, e); err != errReason {
				t.Errorf("the error is %v", err)
			}
			wantEnd(t, e, exchange.EndCanceled)
		})
	})
	t.Run("a body behind its cancellation", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			req, cancel := cancelable(get(t))
			time.AfterFunc(time.Second, func() { cancel(errReason) })
			e := exchangeOn(NewConn(arrivesLate(length10, "0123456789")), req)
			wantBody(t, run(t, e), "0123456789")
			wantEnd(t, e, exchange.EndCanceled)
		})
	})
}

// The error of the write says more than io.EOF.
func TestAServerThatHangsUpOnARequestIsToldByTheErrorOfWriting(t *testing.T) {
	with(t, 0, func(p *peer) { p.Close() }, func(t *testing.T, c *Conn) {
		e := exchangeOn(NewConn(&mute{c.NetConn(), 0}), get(t))
		begun := time.Now()
		if err := runFails(t, e); !errors.Is(err, os.ErrPermission) || time.Since(begun) > 0 {
			t.Errorf("the error is %v, after %v", err, time.Since(begun))
		}
		wantEnd(t, e, exchange.EndError)
	})
}

func TestAFileThatIsBeingSentCanBeCanceled(t *testing.T) {
	httptestutil.CheckLeaks(t, ours)
	const size = 1 << 30 // of nothing: more than any socket buffer holds
	name := filepath.Join(t.TempDir(), "body")
	if err := errors.Join(os.WriteFile(name, nil, 0o600), os.Truncate(name, size)); err != nil {
		t.Fatal(err)
	}
	body, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	req, cancel := cancelable(request(t, http.MethodPost, "http://example.test/", body))
	req.ContentLength = size
	w := httptestutil.NewWire(t, func(w *httptestutil.WireConn) {
		w.ReadHead()
		w.Conn().Read(make([]byte, 1)) // the kernel is at work
		cancel(errReason)
		w.Stall()
	})
	e := exchangeOn(dial(t, w), req)
	if err := runFails(t, e); !errors.Is(err, errReason) || context.Cause(req.Context()) != errReason {
		t.Errorf("the error is %v", err)
	}
	wantEnd(t, e, exchange.EndCanceled)
	if err := body.Close(); !errors.Is(err, os.ErrClosed) {
		t.Error("the file has not been closed")
	}
}

// The body has no framing, so it ends with the connection.
func TestTheBodyOfConnectIsTheTunnels(t *testing.T) {
	with(t, 0, func(p *peer) {
		p.head()
		p.say(ok + "\r\n")
		b := make([]byte, len("hello"))
		if got := readFull(t, p.br, b); got != "hello" {
			t.Errorf("the server reads %q", got)
		}
		p.say("world")
	}, func(t *testing.T, c *Conn) {
		req := request(t, http.MethodConnect, "http://example.test:443", unknown("hello")())
		e := exchangeOn(c, req)
		wantBody(t, run(t, e), "world")
		wantEnd(t, e, exchange.EndClose)
	})
}

func TestAProtocolErrorQuotesLittleAndNothingRaw(t *testing.T) {
	answer := "\x1b[31m" + strings.Repeat("x", 10000) + "\r\n"
	e := exchangeOn(NewConn(&pieces{data: []byte(answer), piece: len(answer)}), get(t))
	err := runFails(t, e)
	if text := err.Error(); len(text) > len(brokenText)+256 || strings.ContainsRune(text, 0x1b) {
		t.Errorf("the error is %q", text)
	}
}

// A caller may hold a lock while it condemns a connection, because nothing is closed yet.
func TestACondemnedConnectionIsOpenUntilItIsCut(t *testing.T) {
	var far *peer
	with(t, 0, func(p *peer) { far = p; p.untilClosed() }, func(t *testing.T, c *Conn) {
		if !c.condemn(errReason) || c.condemn(errReason) {
			t.Error("not exactly one of two has to cut the connection")
		}
		synctest.Wait()
		if _, err := far.Write([]byte("x")); err != nil {
			t.Errorf("the connection is closed before it is cut: %v", err)
		}
		wantCondition(t, c, PeerClosed) // never to be used again
		c.cut()
		synctest.Wait()
		if _, err := c.NetConn().Write([]byte("x")); err == nil {
			t.Error("the connection is open after it was cut")
		}
	})
}

// deaf is a connection whose Close does not end its reads.
type deaf struct {
	net.Conn
	reads int
}

func (d *deaf) Read([]byte) (int, error) { d.reads++; return 0, nil }
func (d *deaf) Close() error             { return nil }

func TestAnAbortedConnectionIsNotReadFromEvenIfClosingItEndsNoRead(t *testing.T) {
	d := &deaf{}
	c, cause := NewConn(d), errors.New("given up")
	c.Abort(cause)
	if _, err := c.Read(make([]byte, 1)); err != cause || d.reads != 0 {
		t.Errorf("error %v after %d reads, want the cause and none", err, d.reads)
	}
}
