package http1

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool/internal/exchange"
)

var errReason = errors.New("changed my mind")

// cancelCase is an exchange that is canceled after a second, where it stands still.
type cancelCase struct {
	name   string
	buffer int
	ask    func(*http.Request)
	serve  func(*peer)
	status int    // of the response that came before; 0: none
	body   string // what of its body came before
}

// longAsk makes a head that does not fit into the connection.
func longAsk(req *http.Request) { req.Header.Set("X-Long", strings.Repeat("x", 64<<10)) }

var cancelCases = []cancelCase{
	{name: "while the head is being written", buffer: 100, ask: longAsk, serve: readsNothing},
	{name: "while waiting for the first byte", serve: answers("")},
	{name: "within the status line", serve: answers("HTTP/1.1 2")},
	{name: "within the head", serve: answers(ok + "Content-Le")},
	{name: "behind an interim response", serve: answers(early)},
	{name: "before the body", serve: answers(length10), status: 200},
	{name: "within a body of known length", serve: answers(length10 + "01234"), status: 200, body: "01234"},
	{name: "within a chunk", serve: answers(chunkedHead + "5\r\nhel"), status: 200, body: "hel"},
	{name: "before the last chunk", serve: answers(chunkedHead + "5\r\nhello\r\n"), status: 200, body: "hello"},
	{name: "before the final line end", serve: answers(chunkedHead + "5\r\nhello\r\n0\r\n"), status: 200, body: "hello"},
	{name: "within the trailer", serve: answers(chunkedHead + "5\r\nhello\r\n0\r\nX-Sum: 1"), status: 200, body: "hello"},
	{name: "within a body without a length", serve: answers(ok + "\r\nhello"), status: 200, body: "hello"},
}

func TestCancelingAnExchange(t *testing.T) {
	for _, c := range cancelCases {
		t.Run(c.name, func(t *testing.T) {
			with(t, c.buffer, c.serve, func(t *testing.T, conn *Conn) {
				req, cancel := cancelable(get(t))
				if c.ask != nil {
					c.ask(req)
				}
				time.AfterFunc(time.Second, func() { cancel(errReason) })
				begun := time.Now()
				e := exchangeOn(conn, req)
				c.wantCanceled(t, e)
				if took := time.Since(begun); took != time.Second {
					t.Errorf("it took %v", took)
				}
				wantEnd(t, e, exchange.EndCanceled)
				if conn.Probe() != PeerClosed {
					t.Error("the connection is still open")
				}
			})
		})
	}
}

func (c *cancelCase) wantCanceled(t *testing.T, e *Exchange) {
	t.Helper()
	resp, err := e.Run()
	if c.status != 0 {
		if err != nil {
			t.Fatalf("no response: %v", err)
		}
		var got []byte
		if got, err = io.ReadAll(resp.Body); string(got) != c.body {
			t.Errorf("of the body came %q, want %q", got, c.body)
		}
		if _, again := resp.Body.Read(make([]byte, 1)); again != err {
			t.Errorf("reading again returns %v", again)
		}
		resp.Body.Close()
	}
	if err != errReason {
		t.Errorf("the error is %v", err)
	}
}

func TestADeadlineIsATimeoutOfTheCaller(t *testing.T) {
	with(t, 0, answers(""), func(t *testing.T, c *Conn) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		e := exchangeOn(c, get(t).WithContext(ctx))
		err := runFails(t, e)
		var timeout net.Error
		if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("the error is %v", err)
		}
		wantEnd(t, e, exchange.EndTimeout)
	})
}

// The exchange may have begun by then.
func TestARequestThatIsCanceledBeforeItIsWrittenFails(t *testing.T) {
	with(t, 100, readsNothing, func(t *testing.T, c *Conn) {
		req, cancel := cancelable(get(t))
		longAsk(req)
		cancel(errReason)
		begun := time.Now()
		e := exchangeOn(c, req)
		if err := runFails(t, e); err != errReason {
			t.Errorf("the error is %v", err)
		}
		if took := time.Since(begun); took > 0 {
			t.Errorf("it took %v", took)
		}
		wantEnd(t, e, exchange.EndCanceled)
	})
}

// TestCancelingBehindCloseDoesNotEndTheDrain cancels the context right after Close, as many callers and every http.Client
// with a Timeout do.
func TestCancelingBehindCloseDoesNotEndTheDrain(t *testing.T) {
	with(t, 0, saysThen(length10+"01234", later(drainWait/2, "56789")), func(t *testing.T, c *Conn) {
		req, cancel := cancelable(get(t))
		e := exchangeOn(c, req)
		run(t, e).Body.Close()
		cancel(errReason)
		wantEnd(t, e, exchange.Reusable)
	})
}

func TestABodyThatIsClosedAfterItsRequestWasCanceledIsNotDrained(t *testing.T) {
	with(t, 0, saysThen(length10+"01234", later(drainWait/2, "56789")), func(t *testing.T, c *Conn) {
		req, cancel := cancelable(get(t))
		e := exchangeOn(c, req)
		resp := run(t, e)
		cancel(errReason)
		synctest.Wait()
		resp.Body.Close()
		wantEnd(t, e, exchange.EndCanceled)
	})
}

// The context of a request often ends when its caller is done.
func TestCancelingBehindTheEndHurtsNobody(t *testing.T) {
	for name, answer := range map[string]string{
		"a body": hello, "no body": ok + "Content-Length: 0\r\n\r\n", "chunks": chunkedHead + "5\r\nhello\r\n0\r\n\r\n",
	} {
		with(t, 0, func(p *peer) {
			p.request()
			p.say(answer)
			answers(hello)(p)
		}, func(t *testing.T, c *Conn) {
			req, cancel := cancelable(get(t))
			e := exchangeOn(c, req)
			resp := run(t, e)
			readAll(t, resp.Body)
			cancel(errReason)
			synctest.Wait()
			wantEnd(t, e, exchange.Reusable)
			resp.Body.Close()
			next := exchangeOn(c, get(t))
			wantBody(t, run(t, next), "hello")
			if end := endOfExchange(t, next); end != exchange.Reusable {
				t.Errorf("%s: the next exchange ended as %q", name, end)
			}
		})
	}
}

// The cancellation has closed the connection by then.
func TestCancelingSpoilsAConnectionWhoseBodyHasArrived(t *testing.T) {
	with(t, 0, answers(hello), func(t *testing.T, c *Conn) {
		req, cancel := cancelable(get(t))
		e := exchangeOn(c, req)
		resp := run(t, e)
		cancel(errReason)
		synctest.Wait()
		wantBody(t, resp, "hello")
		wantEnd(t, e, exchange.EndCanceled)
	})
}

// drips is a server that answers slowly.
func drips(response string, every time.Duration) func(*peer) {
	return func(p *peer) {
		p.request()
		for i := range len(response) {
			time.Sleep(every)
			if _, err := io.WriteString(p, response[i:i+1]); err != nil {
				return
			}
		}
		p.untilClosed()
	}
}

func TestAHeadThatDoesNotComeInTimeIsATimeout(t *testing.T) {
	for name, serve := range map[string]func(*peer){
		"nothing comes":        answers(""),
		"the head stops":       answers(ok + "Content-Le"),
		"the head trickles":    drips(hello, 100*time.Millisecond),
		"only hints come":      answers(early),
		"hints keep on coming": drips(strings.Repeat(early, 20), 10*time.Millisecond),
	} {
		t.Run(name, func(t *testing.T) {
			with(t, 0, serve, func(t *testing.T, c *Conn) {
				e := exchangeOn(c, get(t))
				e.Opts.HeaderTimeout = time.Second
				begun := time.Now()
				err := runFails(t, e)
				var timeout net.Error
				if !errors.Is(err, ErrHeaderTimeout) || !errors.As(err, &timeout) || !timeout.Timeout() {
					t.Errorf("the error is %v", err)
				}
				if took := time.Since(begun); took != time.Second {
					t.Errorf("it took %v", took)
				}
				wantEnd(t, e, exchange.EndTimeout)
			})
		})
	}
}

func TestTheTimeForTheHeadIsNotTheBodys(t *testing.T) {
	with(t, 0, saysThen(length10+"01234", later(time.Hour, "56789")), func(t *testing.T, c *Conn) {
		e := exchangeOn(c, get(t))
		e.Opts.HeaderTimeout = time.Second
		wantBody(t, run(t, e), "0123456789")
		wantEnd(t, e, exchange.Reusable)
	})
}

// mute is a connection that accepts n writes and no more.
type mute struct {
	net.Conn
	n int
}

func (m *mute) Write(p []byte) (int, error) {
	if m.n--; m.n < 0 {
		return 0, os.ErrPermission
	}
	return m.Conn.Write(p)
}

// An answer that is under way says more than the error of the write.
func TestAnErrorOfWritingIsToldWhenNoAnswerComes(t *testing.T) {
	for n, wrote := range []bool{false, true} {
		with(t, 0, func(p *peer) { p.untilClosed() }, func(t *testing.T, c *Conn) {
			e := exchangeOn(NewConn(&mute{c.NetConn(), n}), request(t, http.MethodPost, "http://example.test/", unknown("hello")()))
			begun := time.Now()
			if err := runFails(t, e); !errors.Is(err, os.ErrPermission) {
				t.Errorf("the error is %v", err)
			}
			if took := time.Since(begun); took != earlyAnswerWait {
				t.Errorf("it took %v", took)
			}
			if wantEnd(t, e, exchange.EndError); e.Wrote != wrote {
				t.Errorf("after %d writes Wrote is %v", n, e.Wrote)
			}
		})
	}
}

func TestAnAnswerIsHeardThoughWritingFails(t *testing.T) {
	for n := range 2 {
		with(t, 0, func(p *peer) { p.say(tooMuch); p.untilClosed() }, func(t *testing.T, c *Conn) {
			body := &tracked{Reader: strings.NewReader("hello")}
			e := exchangeOn(NewConn(&mute{c.NetConn(), n}), request(t, http.MethodPost, "http://example.test/", body))
			wantBody(t, run(t, e), "no")
			wantEnd(t, e, exchange.EndUnsent)
			body.wantClosedOnce(t)
		})
	}
}
