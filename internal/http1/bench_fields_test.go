package http1

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// varied is a connection on which responses arrive whose lines change as those of a real server do.
type varied struct {
	*canned
	responses []string
	turn      int
	left      string
}

func newVaried(fields string) *varied {
	v := &varied{canned: newCanned()}
	for i := range 64 {
		body := strings.Repeat("x", 100+i)
		v.responses = append(v.responses, fmt.Sprintf("%s%sX-Request-Id: %016x\r\nContent-Length: %d\r\n\r\n%s",
			ok, fields, uint64(i)*0x9e3779b97f4a7c, len(body), body))
	}
	return v
}

func (c *varied) Read(p []byte) (int, error) {
	if c.left == "" {
		c.left = c.responses[c.turn%len(c.responses)]
		c.turn++
	}
	n := copy(p, c.left)
	c.left = c.left[n:]
	return n, nil
}

func (c *varied) Write(p []byte) (int, error) { return len(p), nil }

// BenchmarkExchangeOfAPI is a GET as a client of an API sends it, whose answers are never quite the same.
func BenchmarkExchangeOfAPI(b *testing.B) {
	for _, c := range []struct{ name, fields string }{
		{"five-fields", "Date: Mon, 02 Jan 2006 15:04:05 GMT\r\nContent-Type: application/json\r\nServer: example\r\n"},
		{"twelve-fields", apiHead[len(ok):]},
	} {
		b.Run(c.name, func(b *testing.B) {
			conn, req, buf := NewConn(newVaried(c.fields)), get(b), make([]byte, 4096)
			req.Header = http.Header{"Accept": {"*/*"}, "Authorization": {"Bearer 0123456789"}, "X-Request-Id": {"42"}}
			b.ReportAllocs()
			for b.Loop() {
				roundTrip(b, conn, req, buf)
			}
		})
	}
}
