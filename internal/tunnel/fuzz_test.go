package tunnel

import (
	"bufio"
	"net"
	"net/http"
	"strings"
	"testing"
)

// saying is a connection whose other end takes everything and has said all it will ever say.
type saying struct {
	net.Conn
	*strings.Reader
	closed bool
}

func (s *saying) Read(p []byte) (int, error)  { return s.Reader.Read(p) }
func (s *saying) Write(p []byte) (int, error) { return len(p), nil }
func (s *saying) Close() error                { s.closed = true; return nil }

func FuzzConnectAnswer(f *testing.F) {
	for _, seed := range []string{
		"HTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.0 299 \r\nContent-Length: 5\r\nTransfer-Encoding: x\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204\n\n",
		"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 2\r\n\r\nno",
		"HTTP/1.1 502 Bad Gateway\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\n\r\n",
		"HTTP/1.1 200 OK\r\n\r\n\x16\x03\x03",
		"HTTP/2.0 200 OK\r\n\r\n",
		"SSH-2.0-OpenSSH\r\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, answer string) {
		conn := &saying{Reader: strings.NewReader(answer)}
		err := Connect(t.Context(), conn, Request{Target: target})
		if conn.closed == (err == nil) {
			t.Fatalf("closed: %v, error: %v", conn.closed, err)
		}
		if err == nil {
			wantSuccess(t, answer[:len(answer)-conn.Len()])
		}
	})
}

// wantSuccess checks in another way that heads are interim answers, then a 2xx, and nothing else.
func wantSuccess(t *testing.T, heads string) {
	t.Helper()
	lines := strings.ReplaceAll(heads, "\r\n", "\n")
	each := strings.Split(lines, "\n\n")
	last := len(each) - 1
	if last < 1 || each[last] != "" {
		t.Fatalf("%q was accepted, which does not end as a head", heads)
	}
	for i, head := range each[:last] {
		statusLine, _, _ := strings.Cut(head, "\n")
		resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(statusLine+"\n\n")), nil)
		if err != nil {
			t.Fatalf("%q was accepted: %v", heads, err)
		}
		if i == last-1 && resp.StatusCode/100 != 2 || i < last-1 && resp.StatusCode/100 != 1 {
			t.Fatalf("%q was accepted with status %d in head %d of %d", heads, resp.StatusCode, i+1, last)
		}
	}
}
