package http1

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/exchange"
	"github.com/peerpool/peerpool/internal/nettest"
)

// large is the size of a body that is copied in several pieces.
const large = 4 * len(bulk{})

// onlyWriter hides what else a Writer can do.
type onlyWriter struct{ io.Writer }

// target is what a body is copied to.
type target struct {
	io.Writer
	got func() string // what has come; call it once, at the end
}

// targets are the Writers that a body deals with in different ways.
var targets = map[string]func(*testing.T) target{
	"a plain writer": func(*testing.T) target {
		var buf bytes.Buffer
		return target{onlyWriter{&buf}, buf.String}
	},
	"one that reads for itself": func(*testing.T) target {
		var buf bytes.Buffer
		return target{&buf, buf.String}
	},
	"a file": func(t *testing.T) target {
		f, err := os.Create(filepath.Join(t.TempDir(), "body"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return target{f, func() string {
			b, err := os.ReadFile(f.Name())
			if err != nil {
				t.Error(err)
			}
			return string(b)
		}}
	},
	"a TCP connection": func(t *testing.T) target {
		near, far := nettest.TCPPair(t)
		got := make(chan string, 1)
		go func() {
			b, _ := io.ReadAll(far)
			got <- string(b)
		}()
		return target{near, func() string { near.CloseWrite(); return <-got }}
	},
}

// everyTarget is targets, and nowhere.
func everyTarget() map[string]func(*testing.T) target {
	all := maps.Clone(targets)
	all["nowhere"] = func(*testing.T) target { return target{io.Discard, nil} }
	return all
}

// framings wrap a body in each of the ways in which its end is told.
var framings = map[string]struct {
	frame func(body string) string
	end   exchange.End
}{
	"of known length": {end: exchange.Reusable, frame: withLength},
	"chunked": {end: exchange.Reusable, frame: func(body string) string {
		half := len(body) / 2
		return chunkedHead + chunk(body[:half]) + chunk(body[half:]) + "0\r\n\r\n"
	}},
	"until the close": {end: exchange.EndClose, frame: func(body string) string { return ok + "\r\n" + body }},
}

func withLength(body string) string {
	return ok + "Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
}

func chunk(data string) string {
	if data == "" {
		return ""
	}
	return strconv.FormatInt(int64(len(data)), 16) + "\r\n" + data + "\r\n"
}

// text is n bytes of which no two stretches look the same.
func text(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		b.WriteString(strconv.Itoa(i) + " ")
	}
	return b.String()[:n]
}

// copied runs an exchange over c and copies its body to w, behind the first bytes, which it reads.
func copied(t *testing.T, c *Conn, first int, w io.Writer) (e *Exchange, n int64, err error) {
	t.Helper()
	e = exchangeOn(c, get(t))
	resp := run(t, e)
	if _, err := io.ReadFull(resp.Body, make([]byte, first)); err != nil {
		t.Fatal(err)
	}
	n, err = io.Copy(w, resp.Body)
	return e, n, err
}

func TestABodyIsCopiedAsItIs(t *testing.T) {
	for how, framing := range framings {
		for to, open := range targets {
			for _, size := range []int{1, 3000, len(bulk{}) + 5000, large} {
				for _, first := range []int{0, 1, size / 2} {
					body := text(size)
					w := httptestutil.NewWire(t, httptestutil.ReplyThenClose(framing.frame(body)))
					c, target := dial(t, w), open(t)
					e, n, err := copied(t, c, first, target.Writer)
					if err != nil || n != int64(size-first) {
						t.Errorf("%s to %s: %d of %d bytes, %v", how, to, n, size-first, err)
					}
					if got := target.got(); got != body[first:] {
						t.Errorf("%s to %s: %d bytes arrive other than they were sent", how, to, size)
					}
					wantEnd(t, e, framing.end)
				}
			}
		}
	}
}

func TestABodyIsDiscardedToItsEnd(t *testing.T) {
	for how, framing := range framings {
		t.Run(how, func(t *testing.T) {
			probed(t, httptestutil.ReplyThenClose(framing.frame(text(large))), func(t *testing.T, c *Conn) {
				e, n, err := copied(t, c, 10, io.Discard)
				if n != int64(large-10) || err != nil {
					t.Errorf("%d bytes, %v", n, err)
				}
				wantEnd(t, e, framing.end)
			})
		})
	}
}

func TestADiscardedBodyThatEndsTooSoonIsNotComplete(t *testing.T) {
	for _, how := range []string{"of known length", "chunked"} {
		for _, size := range []int{100, large} {
			sent := framings[how].frame(text(size))
			probed(t, httptestutil.ReplyThenClose(sent[:len(sent)-20]), func(t *testing.T, c *Conn) {
				e, _, err := copied(t, c, 0, io.Discard)
				if err != io.ErrUnexpectedEOF {
					t.Errorf("%s: the error is %v", how, err)
				}
				wantEnd(t, e, exchange.EndError)
			})
		}
	}
}

// A body without a length ends with the connection, but not with a reset.
func TestAResetIsNotTheEndOfACopiedBody(t *testing.T) {
	for _, how := range []string{"of known length", "until the close"} {
		for to, open := range everyTarget() {
			reset := make(chan struct{}, 1)
			sent := framings[how].frame(text(large))
			c := dial(t, httptestutil.NewWire(t, func(w *httptestutil.WireConn) {
				w.ReadRequest()
				w.Write(sent[:len(sent)-20])
				w.Await(reset)
				w.Reset()
			}))
			e := exchangeOn(c, get(t))
			resp := run(t, e)
			if _, err := io.ReadFull(resp.Body, make([]byte, large/2)); err != nil {
				t.Fatal(err)
			}
			reset <- struct{}{}
			_, err := io.Copy(open(t).Writer, resp.Body)
			if err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s to %s: the error is %v", how, to, err)
			}
			wantEnd(t, e, exchange.EndError)
		}
	}
}

func TestDiscardingStopsAtTheEndOfTheBody(t *testing.T) {
	script := func(w *httptestutil.WireConn) {
		for range 2 {
			w.ReadRequest()
			w.WriteRecords(withLength(text(large)), evil)
		}
		w.WaitClosed()
	}
	probed(t, script, func(t *testing.T, c *Conn) {
		e, n, err := copied(t, c, 0, io.Discard)
		if n != int64(large) || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
		if end := endOfExchange(t, e); end == exchange.Reusable {
			eventually(t, c, Unexpected)
		} else if end != exchange.EndUnexpected {
			t.Errorf("the exchange ended as %q", end)
		}
	})
}

// Everything that came is copied.
func TestABodyThatEndsTooSoonIsNotCopiedAsComplete(t *testing.T) {
	for _, how := range []string{"of known length", "chunked"} {
		for to, open := range targets {
			for _, size := range []int{100, large} {
				sent := framings[how].frame(text(size))
				w := httptestutil.NewWire(t, httptestutil.ReplyThenClose(sent[:len(sent)-20]))
				c, target := dial(t, w), open(t)
				e, n, err := copied(t, c, 0, target.Writer)
				if !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("%s to %s: the error is %v", how, to, err)
				}
				if got := target.got(); !strings.HasPrefix(text(size), got) || int64(len(got)) != n {
					t.Errorf("%s to %s: %d bytes arrived, %d were reported", how, to, len(got), n)
				}
				wantEnd(t, e, exchange.EndError)
			}
		}
	}
}

func TestBytesBehindACopiedBodyAreFound(t *testing.T) {
	for to, open := range targets {
		for _, size := range []int{100, large} {
			w := httptestutil.NewWire(t, httptestutil.ReplyWithExtra(withLength(text(size)), evil))
			c, target := dial(t, w), open(t)
			e, _, err := copied(t, c, 0, target.Writer)
			if got := target.got(); err != nil || got != text(size) {
				t.Errorf("to %s: %d bytes, %v", to, len(got), err)
			}
			if end := endOfExchange(t, e); end == exchange.EndUnexpected {
				continue // they were in the buffer
			} else if end != exchange.Reusable {
				t.Errorf("to %s: the exchange ended as %q", to, end)
			}
			if canPeek {
				eventually(t, c, Unexpected)
			}
		}
	}
}
