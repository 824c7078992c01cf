package http1

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/peerpool/peerpool/internal/exchange"
)

// zip compresses s.
func zip(s string) string {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	io.WriteString(w, s)
	w.Close()
	return buf.String()
}

// zipped is a response that holds raw as its body, and says that it is compressed.
func zipped(raw string) string {
	return ok + "Content-Encoding: gzip\r\nContent-Length: " + strconv.Itoa(len(raw)) + "\r\n\r\n" + raw
}

// unzip runs an exchange that asks for gzip on its own.
func unzip(t *testing.T, c *Conn, req *http.Request) (*Exchange, *http.Response) {
	t.Helper()
	e := exchangeOn(c, req)
	e.Opts.Gzip = true
	return e, run(t, e)
}

func TestACompressedBodyLooksAsIfItHadNeverBeen(t *testing.T) {
	text := strings.Repeat("hello ", 10000)
	for name, answer := range map[string]string{
		"length":      zipped(zip(text)),
		"chunks":      ok + "Content-Encoding: GZIP\r\nTransfer-Encoding: chunked\r\n\r\n" + chunksOf(zip(text), 7),
		"two members": zipped(zip(text[:100]) + zip(text[100:])),
	} {
		with(t, 0, answers(answer), func(t *testing.T, c *Conn) {
			e, resp := unzip(t, c, get(t))
			if !resp.Uncompressed || resp.ContentLength != -1 || resp.Header.Get("Content-Encoding")+resp.Header.Get("Content-Length") != "" {
				t.Errorf("%s: %v, %d, %v", name, resp.Uncompressed, resp.ContentLength, resp.Header)
			}
			wantBody(t, resp, text)
			wantEnd(t, e, exchange.Reusable)
		})
	}
}

// chunksOf codes s as chunks of a size.
func chunksOf(s string, size int) string {
	var b strings.Builder
	for s != "" {
		n := min(size, len(s))
		b.WriteString(strconv.FormatInt(int64(n), 16) + "\r\n" + s[:n] + "\r\n")
		s = s[n:]
	}
	return b.String() + "0\r\n\r\n"
}

func TestABodyIsNotDecodedForACallerWhoAskedForIt(t *testing.T) {
	with(t, 0, answers(zipped(zip("hello"))), func(t *testing.T, c *Conn) {
		req := get(t)
		req.Header.Set("Accept-Encoding", "gzip")
		e, resp := unzip(t, c, req)
		if resp.Uncompressed || resp.Header.Get("Content-Encoding") != "gzip" {
			t.Errorf("%v, %v", resp.Uncompressed, resp.Header)
		}
		wantBody(t, resp, zip("hello"))
		wantEnd(t, e, exchange.Reusable)
	})
}

func TestACompressedBodyOfNothingKeepsItsFields(t *testing.T) {
	with(t, 0, answers(zipped("")), func(t *testing.T, c *Conn) {
		e, resp := unzip(t, c, get(t))
		if resp.Uncompressed || resp.ContentLength != 0 {
			t.Errorf("%v, %d", resp.Uncompressed, resp.ContentLength)
		}
		wantBody(t, resp, "")
		wantEnd(t, e, exchange.Reusable)
	})
}

func TestACompressedBodyThatIsCorruptIsAnError(t *testing.T) {
	whole := zip("hello")
	for name, c := range map[string]struct {
		raw string
		is  error
	}{
		"not gzip":       {"hello, world", gzip.ErrHeader},
		"wrong checksum": {whole[:len(whole)-8] + "\x00\x00\x00\x00\x05\x00\x00\x00", gzip.ErrChecksum},
		"cut short":      {whole[:len(whole)-4], io.ErrUnexpectedEOF},
	} {
		with(t, 0, answers(zipped(c.raw)), func(t *testing.T, conn *Conn) {
			e, resp := unzip(t, conn, get(t))
			if _, err := io.ReadAll(resp.Body); !errors.Is(err, c.is) {
				t.Errorf("%s: the error is %v", name, err)
			}
			resp.Body.Close()
			wantEnd(t, e, exchange.Reusable) // the bytes were wrong, not their framing
		})
	}
}

func TestACompressedBodyIsDrainedWhenClosedEarly(t *testing.T) {
	with(t, 0, answers(zipped(zip(strings.Repeat("hello ", 10000)))), func(t *testing.T, c *Conn) {
		e, resp := unzip(t, c, get(t))
		io.ReadFull(resp.Body, make([]byte, 5))
		resp.Body.Close()
		wantEnd(t, e, exchange.Reusable)
		wantClosed(t, resp.Body)
	})
}

func TestACompressedBodyCanBeClosedWhileItIsRead(t *testing.T) {
	with(t, 0, answers(ok+"Content-Encoding: gzip\r\nContent-Length: 100\r\n\r\n"), func(t *testing.T, c *Conn) {
		e, resp := unzip(t, c, get(t))
		read := make(chan error)
		go func() {
			_, err := resp.Body.Read(make([]byte, 10))
			read <- err
		}()
		synctest.Wait()
		resp.Body.Close()
		if err := <-read; !errors.Is(err, ErrBodyReadAfterClose) {
			t.Errorf("the read returns %v", err)
		}
		wantEnd(t, e, exchange.EndUnread)
	})
}

// trailerCase is what a response announces, what it sends, and what the caller sees.
type trailerCase struct {
	announced, sent string
	before, after   http.Header
}

var trailerCases = map[string]trailerCase{
	"announced": {"Trailer: x-sum\r\n", "X-Sum: 1\r\nX-Sum: 2\r\n",
		http.Header{"X-Sum": nil}, http.Header{"X-Sum": {"1", "2"}}},
	"unannounced": {"", "x-sum: 1\r\n", nil, http.Header{"X-Sum": {"1"}}},
	"both": {"Trailer: X-A, X-B\r\nTrailer: X-C\r\n", "X-D: 1\r\nX-B:  2 \r\n",
		http.Header{"X-A": nil, "X-B": nil, "X-C": nil}, http.Header{"X-A": nil, "X-B": {"2"}, "X-C": nil, "X-D": {"1"}}},
	"announced and not sent": {"Trailer: X-A\r\n", "", http.Header{"X-A": nil}, http.Header{"X-A": nil}},
	"announced as nothing":   {"Trailer: , \r\n", "X-A: 1\r\n", nil, http.Header{"X-A": {"1"}}},
	"forbidden": {"Trailer: X-A\r\n", "Content-Length: 3\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\nHost: a\r\nConnection: close\r\nTrailer: X\r\n",
		http.Header{"X-A": nil}, http.Header{"X-A": {"1"}}},
}

func TestATrailerIsThereWhenTheBodyHasEnded(t *testing.T) {
	for name, c := range trailerCases {
		answer := ok + c.announced + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n" + c.sent + "\r\n"
		with(t, 0, answers(answer), func(t *testing.T, conn *Conn) {
			e := exchangeOn(conn, get(t))
			resp := run(t, e)
			if !reflect.DeepEqual(resp.Trailer, c.before) || resp.Header.Get("Trailer") != "" {
				t.Errorf("%s: before the body the trailer is %v", name, resp.Trailer)
			}
			wantBody(t, resp, "hello")
			if !reflect.DeepEqual(resp.Trailer, c.after) {
				t.Errorf("%s: after the body the trailer is %v, want %v", name, resp.Trailer, c.after)
			}
			wantEnd(t, e, exchange.Reusable)
		})
	}
}

func TestADiscardedBodyTakesItsConnectionAlong(t *testing.T) {
	for name, answer := range map[string]string{"plain": hello, "compressed": zipped(zip("hello"))} {
		for _, end := range []func(io.ReadCloser){
			func(b io.ReadCloser) { b.Close() },
			func(b io.ReadCloser) { io.Copy(io.Discard, b) },
		} {
			with(t, 0, answers(answer), func(t *testing.T, c *Conn) {
				e, resp := unzip(t, c, get(t))
				exchange.Discard(struct{ io.Reader }{resp.Body})
				if ended(e) {
					t.Errorf("%s: the exchange has ended before its body", name)
				}
				end(resp.Body)
				wantEnd(t, e, exchange.EndDiscarded)
			})
		}
	}
}

func TestAKeepAliveHintIsReadFromTheResponse(t *testing.T) {
	for field, want := range map[string]exchange.KeepAlive{
		"":                                   {Timeout: -1, Max: -1},
		"Keep-Alive: timeout=5, max=100\r\n": {Timeout: 5, Max: 100},
		"Keep-Alive: TIMEOUT = \"7\"\r\n":    {Timeout: 7, Max: -1},
		"Keep-Alive: max=0\r\n":              {Timeout: -1, Max: 0},
		"Keep-Alive: timeout=-1, max=x\r\n":  {Timeout: -1, Max: -1},
		"Keep-Alive: timeout=5\r\nKeep-Alive: max=2\r\n": {Timeout: 5, Max: 2},
		"Keep-Alive: timeout=999999999999\r\n":           {Timeout: maxHint, Max: -1},
	} {
		with(t, 0, answers(ok+field+"Content-Length: 0\r\n\r\n"), func(t *testing.T, c *Conn) {
			e := exchangeOn(c, get(t))
			if run(t, e); e.KeepAlive != want {
				t.Errorf("%q is %+v", field, e.KeepAlive)
			}
		})
	}
}
