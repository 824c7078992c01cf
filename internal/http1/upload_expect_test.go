package http1

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peerpool/peerpool/internal/exchange"
)

const (
	proceed    = "HTTP/1.1 100 Continue\r\n\r\n"
	expectWait = time.Second
)

// counted is a body that knows whether anybody reads it.
type counted struct {
	tracked
	reads atomic.Int32
}

func (b *counted) Read(p []byte) (int, error) {
	b.reads.Add(1)
	return b.tracked.Read(p)
}

// expecting makes an exchange whose request wants to be told to send its body.
func expecting(t *testing.T, c *Conn) (*Exchange, *counted) {
	body := &counted{tracked: tracked{Reader: strings.NewReader("hello")}}
	req := request(t, http.MethodPut, "http://example.test/", body)
	req.ContentLength = 5
	req.Header.Set("Expect", "100-continue")
	e := exchangeOn(c, req)
	e.Opts.ExpectTimeout = expectWait
	return e, body
}

// wantSilence checks that nothing comes for as long as d.
func (p *peer) wantSilence(d time.Duration) {
	p.t.Helper()
	p.SetReadDeadline(time.Now().Add(d))
	if b, err := p.br.Peek(1); !errors.Is(err, os.ErrDeadlineExceeded) {
		p.t.Errorf("the server reads %q, %v", b, err)
	}
	p.SetReadDeadline(time.Time{})
}

// wantRest checks what a body says that has been waited for.
func (p *peer) wantRest(req *http.Request, want string) {
	p.t.Helper()
	if got := readAll(p.t, req.Body); got != want {
		p.t.Errorf("the server reads %q, want %q", got, want)
	}
}

func TestABodyIsSentWhenTheServerSaysContinue(t *testing.T) {
	with(t, 0, func(p *peer) {
		req := p.head()
		p.wantSilence(expectWait / 2)
		p.say(proceed)
		p.wantRest(req, "hello")
		p.say(hello)
		p.untilClosed()
	}, func(t *testing.T, c *Conn) {
		e, body := expecting(t, c)
		wantBody(t, run(t, e), "hello")
		wantEnd(t, e, exchange.Reusable)
		body.wantClosedOnce(t)
	})
}

func TestContinueMayComeBeforeTheUploadHasBegunToWait(t *testing.T) {
	with(t, 0, func(p *peer) {
		p.say(proceed)
		req := p.head()
		p.wantRest(req, "hello")
		p.say(hello)
		p.untilClosed()
	}, func(t *testing.T, c *Conn) {
		begun := time.Now()
		e, _ := expecting(t, c)
		wantBody(t, run(t, e), "hello")
		wantEnd(t, e, exchange.Reusable)
		if waited := time.Since(begun); waited > 0 {
			t.Errorf("the upload waited for %v", waited)
		}
	})
}

func TestABodyIsSentWhenTheServerSaysNothing(t *testing.T) {
	with(t, 0, func(p *peer) {
		req := p.head()
		p.wantSilence(expectWait - 1)
		p.wantRest(req, "hello")
		p.say(proceed + hello) // too late, and harmless
		p.untilClosed()
	}, func(t *testing.T, c *Conn) {
		e, body := expecting(t, c)
		wantBody(t, run(t, e), "hello")
		wantEnd(t, e, exchange.Reusable)
		body.wantClosedOnce(t)
	})
}

func TestABodyIsSentAtOnceWithoutATimeToWait(t *testing.T) {
	with(t, 0, func(p *peer) {
		_, got := p.request()
		p.say(proceed + proceed + hello)
		if got != "hello" {
			t.Errorf("the server reads %q", got)
		}
		p.untilClosed()
	}, func(t *testing.T, c *Conn) {
		e, _ := expecting(t, c)
		e.Opts.ExpectTimeout = 0
		begun := time.Now()
		wantBody(t, run(t, e), "hello")
		wantEnd(t, e, exchange.Reusable)
		if waited := time.Since(begun); waited > 0 {
			t.Errorf("the upload waited for %v", waited)
		}
	})
}

func TestContinueTwiceIsContinueOnce(t *testing.T) {
	with(t, 0, func(p *peer) {
		req := p.head()
		p.say(proceed + proceed)
		p.wantRest(req, "hello")
		p.say(hello)
		p.untilClosed()
	}, func(t *testing.T, c *Conn) {
		e, _ := expecting(t, c)
		wantBody(t, run(t, e), "hello")
		wantEnd(t, e, exchange.Reusable)
	})
}

// Without the body, the server would take the next request for the body.
func TestAFinalAnswerThatKeepsTheConnectionStillGetsTheBody(t *testing.T) {
	with(t, 0, func(p *peer) {
		req := p.head()
		p.say(hello)
		p.wantRest(req, "hello")
		p.untilClosed()
	}, func(t *testing.T, c *Conn) {
		e, body := expecting(t, c)
		wantBody(t, run(t, e), "hello")
		wantEnd(t, e, exchange.Reusable)
		body.wantClosedOnce(t)
	})
}

func TestAFinalAnswerThatClosesTheConnectionGetsNoBody(t *testing.T) {
	with(t, 0, func(p *peer) {
		p.head()
		p.say("HTTP/1.1 417 Expectation Failed\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
		if rest := p.untilClosed(); rest != "" {
			t.Errorf("the server reads %q", rest)
		}
	}, func(t *testing.T, c *Conn) {
		e, body := expecting(t, c)
		wantBody(t, run(t, e), "no")
		wantEnd(t, e, exchange.EndClose)
		time.Sleep(2 * expectWait)
		body.wantClosedOnce(t)
		if n := body.reads.Load(); n > 0 {
			t.Errorf("the body has been read %d times", n)
		}
	})
}

// When its owner has the body back, the body is untouched, so the next attempt can send it.
func TestWhoeverWaitsForContinueStopsWithTheExchange(t *testing.T) {
	reason := errors.New("changed my mind")
	for name, stop := range map[string]func(*peer, context.CancelCauseFunc){
		"canceled": func(_ *peer, cancel context.CancelCauseFunc) { cancel(reason) },
		"closed":   func(p *peer, _ context.CancelCauseFunc) { p.Close() },
		"reset":    func(p *peer, _ context.CancelCauseFunc) { p.Reset() },
		"broken":   func(p *peer, _ context.CancelCauseFunc) { p.say("SSH-2.0\r\n") },
	} {
		t.Run(name, func(t *testing.T) {
			ctx := make(chan context.CancelCauseFunc, 1)
			with(t, 0, func(p *peer) {
				p.head()
				p.wantSilence(expectWait / 4)
				stop(p, <-ctx)
				p.untilClosed()
			}, func(t *testing.T, c *Conn) {
				e, body := expecting(t, c)
				req, cancel := cancelable(e.Req)
				defer cancel(nil)
				e.Req = req
				ctx <- cancel
				err := runFails(t, e)
				if name == "canceled" && !errors.Is(err, reason) {
					t.Errorf("the error is %v", err)
				}
				time.Sleep(2 * expectWait)
				if n, closed := body.reads.Load(), body.closes.Load(); n > 0 || closed > 0 || e.Touched {
					t.Errorf("the body has been read %d times, closed %d times, touched: %v", n, closed, e.Touched)
				}
			})
		})
	}
}

func TestExpectMeansNothingWithoutABody(t *testing.T) {
	with(t, 0, answers(hello), func(t *testing.T, c *Conn) {
		req := get(t)
		req.Header.Set("Expect", "100-continue")
		e := exchangeOn(c, req)
		e.Opts.ExpectTimeout = expectWait
		wantBody(t, run(t, e), "hello")
		wantEnd(t, e, exchange.Reusable)
	})
}
