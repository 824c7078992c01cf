package http1

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

// endless is a connection on which the same bytes arrive again and again, and whatever is written is forgotten.
type endless struct {
	*canned
	text, left string
}

func newEndless(text string) *endless { return &endless{canned: newCanned(), text: text} }

// Read returns at most one response at a time, as a peer sends them that waits for requests.
func (c *endless) Read(p []byte) (int, error) {
	if c.left == "" {
		c.left = c.text
	}
	n := copy(p, c.left)
	c.left = c.left[n:]
	return n, nil
}

func (c *endless) Write(p []byte) (int, error) { return len(p), nil }

// apiFields are what a request to an API carries.
var apiFields = http.Header{
	"Accept": {"application/json"}, "Authorization": {"Bearer 0123456789abcdef"}, "Content-Type": {"application/json"},
	"Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, "X-Request-Id": {"42"},
}

// BenchmarkRequestWriter writes whole requests: the head, and a body that is small and in memory.
func BenchmarkRequestWriter(b *testing.B) {
	for _, c := range []struct {
		name, method, url string
		header            http.Header
		body              int
	}{
		{"get", http.MethodGet, "http://example.test/", http.Header{}, 0},
		{"get-query", http.MethodGet, "http://example.test/a/b%20c?d=e&f=g", apiFields, 0},
		{"post-64", http.MethodPost, "http://example.test/", apiFields, 64},
		{"post-4096", http.MethodPost, "http://example.test/", apiFields, 4096},
	} {
		b.Run(c.name, func(b *testing.B) {
			req := request(b, c.method, c.url, nil)
			req.Header = c.header
			source := bytes.NewReader(make([]byte, c.body))
			if c.body > 0 {
				req.Body, req.ContentLength = io.NopCloser(source), int64(c.body)
			}
			conn := NewConn(newEndless(""))
			conn.traits |= kernelSocket // as on a socket, a small body is written with the head
			b.ReportAllocs()
			for b.Loop() {
				if _, err := source.Seek(0, io.SeekStart); err != nil {
					b.Fatal(err)
				}
				e := &Exchange{Conn: conn, Req: req, Opts: &noOptions, Owner: noOwner{}}
				if err := e.send(); err != nil || !e.Wrote || e.up() != nil {
					b.Fatal(err, e.Wrote, e.up())
				}
			}
		})
	}
}

const apiHead = ok + "Cache-Control: max-age=3600, public\r\nContent-Type: application/json; charset=utf-8\r\n" +
	"Date: Mon, 02 Jan 2006 15:04:05 GMT\r\nEtag: \"5f3c9a1b-264\"\r\nLast-Modified: Sun, 01 Jan 2006 00:00:00 GMT\r\n" +
	"Server: example\r\nStrict-Transport-Security: max-age=63072000\r\nVary: Accept-Encoding\r\n" +
	"X-Content-Type-Options: nosniff\r\nX-Request-Id: 0123456789abcdef\r\nAge: 17\r\n"

// BenchmarkResponseReader reads whole responses: the head, and the body to its end.
func BenchmarkResponseReader(b *testing.B) {
	half := strings.Repeat("x", 512)
	for _, c := range []struct{ name, response string }{
		{"four-fields", benchHead + half},
		{"twelve-fields", apiHead + "Content-Length: 512\r\n\r\n" + half},
		{"chunked", apiHead + "Transfer-Encoding: chunked\r\n\r\n100\r\n" + half[:256] + "\r\n100\r\n" + half[256:] + "\r\n0\r\n\r\n"},
		{"no-content", "HTTP/1.1 204 No Content\r\nServer: example\r\n\r\n"},
	} {
		b.Run(c.name, func(b *testing.B) {
			conn, req, buf := NewConn(newEndless(c.response)), get(b), make([]byte, 4096)
			b.SetBytes(int64(len(c.response)))
			b.ReportAllocs()
			for b.Loop() {
				e := &Exchange{Conn: conn, Req: req, Opts: &noOptions, Owner: noOwner{}}
				var h head
				if err := e.receive(&h); err != nil {
					b.Fatal(err)
				}
				resp, err := e.respond(&h)
				if err != nil {
					b.Fatal(err)
				}
				drain(b, resp.Body, buf)
			}
		})
	}
}

// BenchmarkExchangeCancelable is BenchmarkExchange with a context that can be canceled.
func BenchmarkExchangeCancelable(b *testing.B) {
	req, cancel := cancelable(get(b))
	defer cancel(nil)
	c, buf := NewConn(newCanned()), make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		roundTrip(b, c, req, buf)
	}
}
