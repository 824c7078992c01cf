package http1

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool/internal/exchange"
)

// later returns an exchange whose owner heeds its context later. Here that happens only when the test does it.
func heededLater(c *Conn, req *http.Request) *Exchange {
	e := exchangeOn(c, req)
	e.HeedLater = true
	return e
}

func TestAnExchangeThatIsHeededLaterIsNotBegunOnceItsContextHasEnded(t *testing.T) {
	asked := ""
	with(t, 0, func(p *peer) { asked = p.untilClosed() }, func(t *testing.T, c *Conn) {
		req, cancel := cancelable(get(t))
		cancel(errReason)
		e := heededLater(c, req)
		if err := runFails(t, e); err != errReason {
			t.Errorf("the error is %v", err)
		}
		wantEnd(t, e, exchange.EndCanceled)
	})
	if asked != "" {
		t.Errorf("the server was asked %s", shorten(asked))
	}
}

// ways to go on with a response.
var ways = map[string]func(io.ReadCloser) (string, error){
	"Read": func(body io.ReadCloser) (string, error) {
		got, err := io.ReadAll(struct{ io.Reader }{body})
		return string(got), err
	},
	"WriteTo": func(body io.ReadCloser) (string, error) {
		var got bytes.Buffer
		_, err := body.(io.WriterTo).WriteTo(struct{ io.Writer }{&got})
		return got.String(), err
	},
}

// The caller first gets what has arrived by then.
func TestAnExchangeThatIsHeededLaterNoticesWhenItsBodyIsRead(t *testing.T) {
	for how, read := range ways {
		for name, answer := range map[string]string{
			"length": length10 + "01234", "chunk": chunkedHead + "5\r\n01234", "no length": ok + "\r\n01234",
		} {
			t.Run(how+", "+name, func(t *testing.T) {
				with(t, 0, answers(answer), func(t *testing.T, c *Conn) {
					req, cancel := cancelable(get(t))
					e := heededLater(c, req)
					resp := run(t, e)
					cancel(errReason)
					synctest.Wait()
					if ended(e) {
						t.Error("somebody heeds it already")
					}
					if got, err := read(resp.Body); got != "01234" || err != errReason {
						t.Errorf("got %q and error %v", got, err)
					}
					if _, err := resp.Body.Read(make([]byte, 1)); err != errReason {
						t.Errorf("reading again returns %v", err)
					}
					wantEnd(t, e, exchange.EndCanceled)
				})
			})
		}
	}
}

func TestAnExchangeThatIsHeededLaterNoticesBeforeItWaitsToDrain(t *testing.T) {
	with(t, 0, answers(length10+"01234"), func(t *testing.T, c *Conn) {
		req, cancel := cancelable(get(t))
		e := heededLater(c, req)
		resp := run(t, e)
		cancel(errReason)
		begun := time.Now()
		resp.Body.Close()
		if took := time.Since(begun); took > 0 {
			t.Errorf("closing took %v", took)
		}
		wantEnd(t, e, exchange.EndCanceled)
	})
}

// The exchange does not wait for anything.
func TestAnExchangeThatIsHeededLaterKeepsAConnectionWhoseBodyHasArrived(t *testing.T) {
	with(t, 0, answers(hello), func(t *testing.T, c *Conn) {
		req, cancel := cancelable(get(t))
		e := heededLater(c, req)
		resp := run(t, e)
		cancel(errReason)
		resp.Body.Close()
		wantEnd(t, e, exchange.Reusable)
	})
}

// The server cancels the context just before the response is handed over.
func TestAContextThatEndsBeforeTheResponseIsHandedOverEndsTheExchange(t *testing.T) {
	for _, switching := range []bool{false, true} {
		var cancel context.CancelCauseFunc
		with(t, 0, func(p *peer) {
			p.request()
			cancel(errReason)
			if switching {
				p.say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
			} else {
				p.say(length10)
			}
			p.untilClosed()
		}, func(t *testing.T, c *Conn) {
			var req *http.Request
			req, cancel = cancelable(get(t))
			e := heededLater(c, req)
			resp, err := e.Run()
			if err == nil {
				_, err = io.ReadAll(resp.Body)
			}
			if err != errReason {
				t.Errorf("switching: %v; the error is %v", switching, err)
			}
			wantEnd(t, e, exchange.EndCanceled)
		})
	}
}

func TestHeedingABlockedExchangeEndsItWithItsContext(t *testing.T) {
	for name, answer := range map[string]string{"head": "HTTP/1.1 2", "body": length10 + "01234"} {
		for _, before := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				with(t, 0, answers(answer), func(t *testing.T, c *Conn) {
					req, cancel := cancelable(get(t))
					e := heededLater(c, req)
					failed := make(chan error, 1)
					go func() {
						resp, err := e.Run()
						if err == nil {
							_, err = io.ReadAll(resp.Body)
						}
						failed <- err
					}()
					synctest.Wait()
					if before {
						cancel(errReason)
						synctest.Wait()
						if ended(e) {
							t.Error("it was heeded already")
						}
					}
					e.Heed()
					cancel(errReason)
					if err := <-failed; err != errReason {
						t.Errorf("the error is %v", err)
					}
					wantEnd(t, e, exchange.EndCanceled)
				})
			})
		}
	}
}

// listened is a context that counts its listeners. It has a Done channel of its own, because package context would
// otherwise go past it.
type listened struct {
	context.Context
	done      chan struct{}
	listeners atomic.Int32
}

func newListened(ctx context.Context) *listened {
	l := &listened{Context: ctx, done: make(chan struct{})}
	context.AfterFunc(ctx, func() { close(l.done) })
	return l
}

func (l *listened) Done() <-chan struct{} { return l.done }

func (l *listened) AfterFunc(f func()) func() bool {
	l.listeners.Add(1)
	stop := context.AfterFunc(l.Context, f)
	return func() bool {
		l.listeners.Add(-1)
		return stop()
	}
}

func TestNobodyListensAfterTheEnd(t *testing.T) {
	for name, heedAt := range map[string]func(e *Exchange, end func()){
		"never":          func(_ *Exchange, end func()) { end() },
		"before the end": func(e *Exchange, end func()) { e.Heed(); end() },
		"after the end":  func(e *Exchange, end func()) { end(); e.Heed() },
	} {
		t.Run(name, func(t *testing.T) {
			with(t, 0, helloThenNothing, func(t *testing.T, c *Conn) {
				ctx, cancel := context.WithCancelCause(t.Context())
				l := newListened(ctx)
				e := heededLater(c, get(t).WithContext(l))
				resp := run(t, e)
				heedAt(e, func() { wantBody(t, resp, "hello") })
				wantEnd(t, e, exchange.Reusable)
				if n := l.listeners.Load(); n != 0 {
					t.Errorf("%d listen to the context", n)
				}
				wantNotHit(t, c, func() { cancel(errReason) })
			})
		})
	}
}

// wantNotHit checks that something does nothing to the exchange that now has the connection.
func wantNotHit(t *testing.T, c *Conn, late func()) {
	t.Helper()
	next := exchangeOn(c, get(t))
	go next.Run()
	synctest.Wait()
	late()
	synctest.Wait()
	if ended(next) || c.aborted() != nil {
		t.Error("it hits the next exchange of the connection")
	}
	next.Cancel(errReason)
	wantEnd(t, next, exchange.EndCanceled)
}

func TestCancelingAnExchangeThatHasEndedDoesNotHitTheNext(t *testing.T) {
	with(t, 0, helloThenNothing, func(t *testing.T, c *Conn) {
		e := exchangeOn(c, get(t))
		wantBody(t, run(t, e), "hello")
		wantNotHit(t, c, func() { e.Cancel(errReason) })
	})
}

// The cancellation may come before or after RoundTrip has returned the response.
func TestAResponseThatNobodyReadsGivesUpItsConnectionWhenItIsCanceled(t *testing.T) {
	for _, before := range []bool{true, false} {
		with(t, 0, answers(length10), func(t *testing.T, c *Conn) {
			e := exchangeOn(c, get(t))
			if before {
				e.SetTrace(&httptrace.ClientTrace{GotFirstResponseByte: func() { e.Cancel(errReason) }})
			}
			resp := run(t, e)
			if !before {
				e.Cancel(errReason)
			}
			if !ended(e) {
				t.Errorf("before: %v; it has not ended", before)
			}
			resp.Body.Close()
			wantEnd(t, e, exchange.EndCanceled)
		})
	}
}
