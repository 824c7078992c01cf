package http1

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"syscall"
	"testing"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/exchange"
	"github.com/peerpool/peerpool/internal/socket"
)

// asked runs test on every kind of connection that is asked on, after a first exchange on it.
func asked(t *testing.T, script httptestutil.Script, test func(*testing.T, *Conn)) {
	greeted := func(w *httptestutil.WireConn) {
		w.ReadRequest()
		w.Write(hello)
		script(w)
	}
	for _, name := range []string{"asked", "asked TLS 1.3"} {
		t.Run(name, func(t *testing.T) {
			httptestutil.CheckLeaks(t, ours)
			c := kinds[name].dial(t, greeted)
			carry(t, c)
			wantCondition(t, c, Quiet)
			if !c.canAsk() {
				t.Fatal("nobody asks on this connection")
			}
			test(t, c)
		})
	}
}

func TestEveryKindOfRequestCanBeAsked(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	post := func(n int) func() *http.Request {
		return func() *http.Request {
			return request(t, http.MethodPost, "http://example.test/", strings.NewReader(long(n)))
		}
	}
	head := func(n int) func() *http.Request {
		return func() *http.Request {
			req := get(t)
			req.Header.Set("X-Long", long(n))
			return req
		}
	}
	for name, req := range map[string]func() *http.Request{
		"GET":                         func() *http.Request { return get(t) },
		"a head of 3,000 bytes":       head(3000),
		"a head longer than a buffer": head(2 * DefaultBufferSize),
		"a small body":                post(4),
		"the largest body asked":      post(maxAsked),
		"one byte more":               post(maxAsked + 1),
		"the largest inline body":     post(maxInline),
		"one byte more than that":     post(maxInline + 1),
		"a streamed body": func() *http.Request {
			return request(t, http.MethodPost, "http://example.test/", io.MultiReader(strings.NewReader(long(3000))))
		},
	} {
		t.Run(name, func(t *testing.T) {
			asked(t, httptestutil.Replies(hello), func(t *testing.T, c *Conn) {
				for range 3 {
					e := exchangeOn(c, req())
					wantBody(t, run(t, e), "hello")
					wantEnd(t, e, exchange.Reusable)
					wantCondition(t, c, Quiet)
				}
			})
		})
	}
}

// An ask receives the first piece, which may end within any record.
func TestAnAnswerMayComeInAnyPieces(t *testing.T) {
	big := strings.Repeat("0123456789", 5000)
	answer := fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", ok, len(big), big)
	for name, say := range map[string]func(*httptestutil.WireConn){
		"at once":                 func(w *httptestutil.WireConn) { w.Write(answer) },
		"the head, then the rest": func(w *httptestutil.WireConn) { w.Write(answer[:50]); w.Write(answer[50:]) },
		"in records that come together": func(w *httptestutil.WireConn) {
			w.WriteRecords(answer[:7], answer[7:50], answer[50:60], answer[60:])
		},
	} {
		t.Run(name, func(t *testing.T) {
			script := func(w *httptestutil.WireConn) {
				for range 3 {
					w.ReadRequest()
					say(w)
				}
				w.WaitClosed()
			}
			asked(t, script, func(t *testing.T, c *Conn) {
				for range 3 {
					e := exchangeOn(c, get(t))
					wantBody(t, run(t, e), big)
					wantEnd(t, e, exchange.Reusable)
					wantCondition(t, c, Quiet)
				}
			})
		})
	}
}

// The end of such an exchange costs no look into crypto/tls.
func TestASmallAnswerOverTLSLeavesNothingToLookFor(t *testing.T) {
	asked(t, httptestutil.Replies(hello), func(t *testing.T, c *Conn) {
		carry(t, c)
		if c.under != nil && !c.decrypted {
			t.Error("crypto/tls may hold something")
		}
	})
}

// The error is that of the system.
func TestAPeerThatEndsTheConnectionEndsAnAsk(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(*httptestutil.WireConn)
		want error
	}{
		"closed":      {(*httptestutil.WireConn).Close, io.EOF},
		"half-closed": {(*httptestutil.WireConn).CloseWrite, io.EOF},
		"reset":       {(*httptestutil.WireConn).Reset, syscall.ECONNRESET},
	} {
		t.Run(name, func(t *testing.T) {
			script := func(w *httptestutil.WireConn) {
				w.ReadRequest()
				c.end(w)
				w.WaitClosed()
			}
			asked(t, script, func(t *testing.T, conn *Conn) {
				e := exchangeOn(conn, get(t))
				err := runFails(t, e)
				if !errors.Is(err, c.want) {
					t.Errorf("the error is %v, want %v", err, c.want)
				}
				if op, ok := errors.AsType[*net.OpError](err); c.want != io.EOF && (!ok || op.Op != "read" || op.Addr == nil) {
					t.Errorf("the error is %#v, want one of reading", err)
				}
				if !e.Wrote || e.Started {
					t.Errorf("written: %t, answered: %t", e.Wrote, e.Started)
				}
				wantEnd(t, e, exchange.EndError)
			})
		})
	}
}

func TestAnAskOnADeadConnectionFailsToWrite(t *testing.T) {
	kill := make(chan struct{})
	script := func(w *httptestutil.WireConn) {
		w.Await(kill)
		w.Reset()
	}
	asked(t, script, func(t *testing.T, c *Conn) {
		kill <- struct{}{}
		eventually(t, c, PeerClosed) // and so takes the reset away
		e := exchangeOn(c, get(t))
		err := runFails(t, e)
		if op, ok := errors.AsType[*net.OpError](err); !ok || op.Op != "write" || !errors.Is(err, syscall.EPIPE) {
			t.Errorf("the error is %#v, want a broken pipe", err)
		}
		if e.Wrote {
			t.Error("something is said to have been written")
		}
	})
}

// A roused ask looks, finds nothing, and waits on. All later exchanges do the same.
func TestRousingAnAskLosesNothing(t *testing.T) {
	requested, answer := make(chan struct{}), make(chan struct{})
	script := func(w *httptestutil.WireConn) {
		w.ReadRequest()
		requested <- struct{}{}
		w.Await(answer)
		w.Write(hello)
		w.ReadRequest()
		w.Write(hello)
		w.WaitClosed()
	}
	asked(t, script, func(t *testing.T, c *Conn) {
		go func() {
			<-requested
			c.Rouse()
			c.Rouse()
			answer <- struct{}{}
		}()
		carry(t, c)
		wantCondition(t, c, Quiet)
		carry(t, c)
	})
}

// The system does not report a close a second time, so the connection does not wait for a report.
func TestAnAskAfterACloseIsNone(t *testing.T) {
	end := make(chan struct{})
	script := func(w *httptestutil.WireConn) {
		w.Await(end)
		w.CloseWrite()
		w.WaitClosed()
	}
	asked(t, script, func(t *testing.T, c *Conn) {
		end <- struct{}{}
		eventually(t, c, PeerClosed)
		c.Rouse()
		wantEnd(t, failed(t, exchangeOn(c, get(t)), io.EOF), exchange.EndError)
	})
}

// The system reports a close once. Here it has done so before the wait began.
func TestRousingFindsACloseThatAnAskHasMissed(t *testing.T) {
	end, requested := make(chan struct{}), make(chan struct{})
	script := func(w *httptestutil.WireConn) {
		w.Await(end)
		w.CloseWrite()
		w.ReadRequest()
		requested <- struct{}{}
		w.WaitClosed()
	}
	asked(t, script, func(t *testing.T, c *Conn) {
		waited := false
		if err := c.raw.Read(func(uintptr) bool {
			if !waited {
				waited = true
				end <- struct{}{}
				return false
			}
			return true
		}); err != nil {
			t.Fatal(err)
		}
		go func() {
			<-requested
			c.Rouse()
		}()
		wantEnd(t, failed(t, exchangeOn(c, get(t)), io.EOF), exchange.EndError)
	})
}

// failed runs e, which must fail with want.
func failed(t *testing.T, e *Exchange, want error) *Exchange {
	t.Helper()
	if err := runFails(t, e); !errors.Is(err, want) {
		t.Errorf("the error is %v, want %v", err, want)
	}
	return e
}

// The cases are all ways to interrupt an exchange.
func TestAnAskCanBeInterrupted(t *testing.T) {
	requested := make(chan struct{}, 1)
	script := func(w *httptestutil.WireConn) {
		w.ReadRequest()
		requested <- struct{}{}
		w.WaitClosed()
	}
	t.Run("by its context", func(t *testing.T) {
		asked(t, script, func(t *testing.T, c *Conn) {
			req, cancel := cancelable(get(t))
			go func() { <-requested; cancel(errReason) }()
			wantEnd(t, failed(t, exchangeOn(c, req), errReason), exchange.EndCanceled)
		})
	})
	t.Run("by an abort", func(t *testing.T) {
		asked(t, script, func(t *testing.T, c *Conn) {
			go func() { <-requested; c.Abort(errReason) }()
			wantEnd(t, failed(t, exchangeOn(c, get(t)), errReason), exchange.EndError)
		})
	})
	t.Run("by the time for the head", func(t *testing.T) {
		asked(t, script, func(t *testing.T, c *Conn) {
			e := exchangeOn(c, get(t))
			e.Opts.HeaderTimeout = time.Millisecond
			wantEnd(t, failed(t, e, ErrHeaderTimeout), exchange.EndTimeout)
			<-requested
		})
	})
}

// beforeWrite is a connection that calls do before it writes.
type beforeWrite struct {
	net.Conn
	do func()
}

func (c beforeWrite) Write(p []byte) (int, error) {
	c.do()
	return c.Conn.Write(p)
}

// The socket is full until the peer reads.
func TestWhatDoesNotFitIsWrittenAsEver(t *testing.T) {
	httptestutil.CheckLeaks(t, ours)
	filled := make(chan int, 1)
	c := kinds["asked"].dial(t, func(w *httptestutil.WireConn) {
		if _, err := io.CopyN(io.Discard, w.Conn(), int64(<-filled)); err != nil {
			t.Error(err)
		}
		w.ReadRequest()
		w.Write(hello)
		w.WaitClosed()
	})
	full, written := fill(t, c), false
	c.takeInput(0)
	head := "GET / HTTP/1.1\r\nHost: example.test\r\n\r\n"
	n, err := c.askSocket(beforeWrite{c.nc, func() { written = true; filled <- full }}, c.in, []byte(head))
	if n != len(head) || err != nil || !written {
		t.Errorf("%d bytes and %v; written as ever: %t", n, err, written)
	}
	if err := c.fill(); err != nil || c.in.buffered() == 0 {
		t.Errorf("%d bytes of an answer, and %v", c.in.buffered(), err)
	}
}

// fill writes until the socket takes no more, and returns how much that was.
func fill(t *testing.T, c *Conn) (total int) {
	t.Helper()
	some := make([]byte, 1<<16)
	if err := c.raw.Control(func(fd uintptr) {
		for n := 1; n > 0; total += n {
			n, _ = socket.Send(fd, some)
		}
	}); err != nil {
		t.Fatal(err)
	}
	return total
}

// An ask sends the request and waits in one step, so it cannot call the trace between the two.
func TestATraceHearsOfTheRequestBeforeTheAnswer(t *testing.T) {
	wrote := make(chan struct{})
	script := func(w *httptestutil.WireConn) {
		w.ReadRequest()
		w.Await(wrote)
		w.Write(hello)
		w.WaitClosed()
	}
	asked(t, script, func(t *testing.T, c *Conn) {
		e := exchangeOn(c, get(t))
		e.SetTrace(&httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { wrote <- struct{}{} }})
		wantBody(t, run(t, e), "hello")
	})
}
