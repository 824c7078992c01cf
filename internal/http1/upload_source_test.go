package http1

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/exchange"
)

// counting counts the writes to a connection.
type counting struct {
	pieces
	writes int
}

func (c *counting) Write(b []byte) (int, error) {
	c.writes++
	return c.pieces.Write(b)
}

func TestASmallBodyInMemoryTravelsWithTheHead(t *testing.T) {
	const small = maxInline
	for name, body := range map[string]io.Reader{
		"bytes.Reader":   bytes.NewReader(make([]byte, small)),
		"bytes.Buffer":   bytes.NewBuffer(make([]byte, small)),
		"strings.Reader": strings.NewReader(strings.Repeat("x", small)),
	} {
		t.Run(name, func(t *testing.T) {
			nc := &counting{pieces: pieces{data: []byte(hello), piece: len(hello)}}
			e := exchangeOn(likeSocket(nc), request(t, http.MethodPost, "http://example.test/", body))
			wantBody(t, run(t, e), "hello")
			wantEnd(t, e, exchange.Reusable)
			if nc.writes != 1 {
				t.Errorf("the request took %d writes", nc.writes)
			}
			if got := parse(t, nc.sent.String()); len(got.Body) != small {
				t.Errorf("the server gets %d bytes of body", len(got.Body))
			}
		})
	}
}

// The server need not read the body, so writing it may block.
func TestALargeBodyInMemoryDoesNotKeepAnAnswerWaiting(t *testing.T) {
	with(t, 4096, answersEarly(tooMuch, readsNothing), func(t *testing.T, c *Conn) {
		e := exchangeOn(c, request(t, http.MethodPost, "http://example.test/", strings.NewReader(big)))
		wantBody(t, run(t, e), "no")
		wantEnd(t, e, exchange.EndUnsent)
	})
}

// Only Close ends the Read of this body.
func TestABodyThatBlocksStopsWithTheExchange(t *testing.T) {
	for name, c := range map[string]struct {
		serve func(*peer)
		end   exchange.End
	}{
		"canceled":       {readsTheRest, exchange.EndCanceled},
		"answered":       {answersEarly(tooMuch, readsTheRest), exchange.EndUnsent},
		"answered, last": {answersEarly("HTTP/1.1 413 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", readsTheRest), exchange.EndClose},
		"hung up on":     {func(p *peer) { p.head(); time.Sleep(time.Second) }, exchange.EndError}, // the Read is under way
	} {
		t.Run(name, func(t *testing.T) {
			with(t, 0, c.serve, func(t *testing.T, conn *Conn) {
				r, w := io.Pipe()
				defer w.Close()
				body := &tracked{Reader: r, closer: r}
				req, cancel := cancelable(request(t, http.MethodPost, "http://example.test/", body))
				time.AfterFunc(time.Minute, func() { cancel(errReason) })
				e := exchangeOn(conn, req)
				if resp, err := e.Run(); err == nil {
					readAll(t, resp.Body)
				}
				wantEnd(t, e, c.end)
				synctest.Wait()
				body.wantClosedOnce(t)
				select {
				case <-e.up().done:
				default:
					t.Error("the upload goes on")
				}
				if !e.Touched {
					t.Error("the body passes as untouched")
				}
			})
		})
	}
}

// The exchange finds out before it has written anything.
func TestABodyInMemoryThatIsNotAsLongAsDeclaredIsNotBegun(t *testing.T) {
	for _, declared := range []int64{1, 4, 6, maxInline} {
		nc := &pieces{data: []byte(hello), piece: len(hello)}
		req := request(t, http.MethodPost, "http://example.test/", strings.NewReader("hello"))
		req.ContentLength = declared
		e := exchangeOn(likeSocket(nc), req)
		if err := runFails(t, e); !strings.Contains(err.Error(), "with Body length 5") {
			t.Errorf("declared as %d: %v", declared, err)
		}
		wantEnd(t, e, exchange.EndUnfit)
		if e.Wrote || nc.sent.Len() > 0 {
			t.Errorf("declared as %d: %q is sent", declared, nc.sent.String())
		}
	}
}

// file makes a file of a size.
func file(t *testing.T, size int) *os.File {
	t.Helper()
	name := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(name, bytes.Repeat([]byte("x"), size), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestAFileIsSentOverASocket(t *testing.T) {
	httptestutil.CheckLeaks(t, ours)
	const size = 1 << 20
	for _, c := range []struct {
		name     string
		declared int64
		says     string
	}{
		{"as it is", size, ""},
		{"shorter than declared", size + 1, "ContentLength=1048577 with Body length 1048576"},
		{"longer than declared", size - 1, "ContentLength=1048575 with Body length 1048576"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := httptestutil.NewWire(t, func(w *httptestutil.WireConn) {
				if req := w.ReadRequest(); req != nil {
					w.Write(httptestutil.Response(req.Header.Get("Content-Length")))
				}
				w.WaitClosed()
			})
			body := file(t, size)
			req := request(t, http.MethodPost, "http://example.test/", body)
			req.ContentLength = c.declared
			e := exchangeOn(dial(t, w), req)
			if c.says == "" {
				wantBody(t, run(t, e), "1048576")
				wantEnd(t, e, exchange.Reusable)
			} else {
				wantBodyError(t, e, c.says)
			}
			if err := body.Close(); !errors.Is(err, os.ErrClosed) {
				t.Error("the file has not been closed")
			}
		})
	}
}

// wantBodyError runs an exchange that its own body fails.
func wantBodyError(t *testing.T, e *Exchange, says string) {
	t.Helper()
	resp, err := e.Run()
	if err == nil { // the server had all that was declared, and was quick
		readAll(t, resp.Body)
		wantEnd(t, e, exchange.EndUnsent)
		return
	}
	if !e.BodyFailed || !strings.Contains(err.Error(), says) {
		t.Errorf("BodyFailed is %v, and the error %v, want one that says %q", e.BodyFailed, err, says)
	}
	wantEnd(t, e, exchange.EndError)
}

// The exchange reads such a body before it writes the head.
func TestAGetWhoseBodyTurnsOutEmptyHasNone(t *testing.T) {
	with(t, 0, func(p *peer) {
		if req, _ := p.request(); len(req.TransferEncoding) > 0 || req.ContentLength != 0 {
			t.Errorf("the server sees a body: %v %d", req.TransferEncoding, req.ContentLength)
		}
		p.say(hello)
		p.untilClosed()
	}, func(t *testing.T, c *Conn) {
		body := &tracked{Reader: strings.NewReader("")}
		e := exchangeOn(c, request(t, http.MethodGet, "http://example.test/", body))
		wantBody(t, run(t, e), "hello")
		wantEnd(t, e, exchange.Reusable)
		body.wantClosedOnce(t)
	})
}

func TestAGetDoesNotWaitForeverForItsBody(t *testing.T) {
	with(t, 0, func(p *peer) {
		if _, got := p.request(); got != "hello" {
			t.Errorf("the server reads %q", got)
		}
		p.say(hello)
		p.untilClosed()
	}, func(t *testing.T, c *Conn) {
		body := &tracked{Reader: slow("", time.Hour, "hello")()}
		e := exchangeOn(c, request(t, http.MethodGet, "http://example.test/", body))
		wantBody(t, run(t, e), "hello")
		wantEnd(t, e, exchange.Reusable)
		body.wantClosedOnce(t)
	})
}

func TestAGetWhoseBodyFailsAtOnceFails(t *testing.T) {
	for name, c := range map[string]struct {
		body io.Reader
		says string
	}{
		"error": {iotest.ErrReader(errRead), "on fire"},
		"panic": {panics{}, "panicked"},
	} {
		t.Run(name, func(t *testing.T) {
			with(t, 0, readsTheRest, func(t *testing.T, conn *Conn) {
				body := &tracked{Reader: c.body}
				e := exchangeOn(conn, request(t, http.MethodGet, "http://example.test/", body))
				if err := runFails(t, e); !strings.Contains(err.Error(), c.says) {
					t.Errorf("the error is %v", err)
				}
				wantEnd(t, e, exchange.EndError)
				body.wantClosedOnce(t)
			})
		})
	}
}

func TestAGetThatIsCanceledDoesNotWaitForItsBody(t *testing.T) {
	with(t, 0, readsTheRest, func(t *testing.T, c *Conn) {
		r, w := io.Pipe()
		defer w.Close()
		body := &tracked{Reader: r, closer: r}
		req, cancel := cancelable(request(t, http.MethodGet, "http://example.test/", body))
		time.AfterFunc(probeWait/2, func() { cancel(nil) })
		e := exchangeOn(c, req)
		begun := time.Now()
		if err := runFails(t, e); !errors.Is(err, context.Canceled) {
			t.Errorf("the error is %v", err)
		}
		if took := time.Since(begun); took != probeWait/2+exchange.ReadWait { // for the Read that Close then ends
			t.Errorf("it took %v", took)
		}
		wantEnd(t, e, exchange.EndCanceled)
		body.wantClosedOnce(t)
	})
}

// panicsAtClose is a body that can be read, but not closed.
type panicsAtClose struct{ io.Reader }

func (panicsAtClose) Close() error { panic("the body panics when closed") }

func TestABodyThatPanicsWhenClosedCostsOnlyTheConnection(t *testing.T) {
	with(t, 0, answers(hello), func(t *testing.T, c *Conn) {
		req := request(t, http.MethodPost, "http://example.test/", panicsAtClose{strings.NewReader("hello")})
		e := exchangeOn(c, req)
		wantBody(t, run(t, e), "hello")
		wantEnd(t, e, exchange.EndUnsent)
	})
}

// withTrailer makes a request whose trailer is known when its body has been read.
func withTrailer(t *testing.T, name, value string) *http.Request {
	req := request(t, http.MethodPost, "http://example.test/", nil)
	req.Trailer = http.Header{"X-Sum": nil}
	fill := onRead(func() { req.Trailer = http.Header{name: {value}} })
	req.Body = io.NopCloser(io.MultiReader(strings.NewReader("hello"), fill))
	return req
}

func TestATrailerIsWhatItIsWhenTheBodyEnds(t *testing.T) {
	with(t, 0, func(p *peer) {
		req, _ := p.request()
		if got := req.Trailer.Get("X-Sum"); got != "42" {
			t.Errorf("the trailer is %v", req.Trailer)
		}
		p.say(hello)
		p.untilClosed()
	}, func(t *testing.T, c *Conn) {
		e := exchangeOn(c, withTrailer(t, "X-Sum", "42"))
		wantBody(t, run(t, e), "hello")
		wantEnd(t, e, exchange.Reusable)
	})
}

func TestATrailerThatIsNoneFailsTheRequest(t *testing.T) {
	for _, name := range []string{"X: 1\r\nEvil", "Content-Length", "transfer-encoding", ""} {
		with(t, 0, func(p *peer) {
			if all := p.untilClosed(); strings.Contains(all, "\r\n0\r\n") || strings.Contains(all, "Evil") {
				t.Errorf("with %q the server reads %q", name, all)
			}
		}, func(t *testing.T, c *Conn) {
			e := exchangeOn(c, withTrailer(t, name, "42"))
			if err := runFails(t, e); !strings.Contains(err.Error(), "invalid Trailer key") {
				t.Errorf("with %q the error is %v", name, err)
			}
			wantEnd(t, e, exchange.EndError)
		})
	}
}

// onRead is an empty reader that does something when it is read.
type onRead func()

func (f onRead) Read([]byte) (int, error) {
	f()
	return 0, io.EOF
}

// TestAServerThatAnswersBeforeItReadsIsHeard uses a connection without buffers of its own, once with a long head and once
// with a long body.
func TestAServerThatAnswersBeforeItReadsIsHeard(t *testing.T) {
	for name, req := range map[string]*http.Request{
		"a small body": request(t, http.MethodPost, "http://example.test/", strings.NewReader(strings.Repeat("x", 8<<10))),
		"a long head": func() *http.Request {
			req := get(t)
			req.Header.Set("X-Long", strings.Repeat("x", 64<<10))
			return req
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			client, server := net.Pipe()
			defer server.Close()
			go func() {
				server.Read(make([]byte, 512))
				io.WriteString(server, "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			}()
			e := exchangeOn(NewConn(client), req)
			if resp := run(t, e); resp.StatusCode != http.StatusRequestEntityTooLarge {
				t.Errorf("the answer is %s", resp.Status)
			}
			wantEnd(t, e, exchange.EndClose)
		})
	}
}
