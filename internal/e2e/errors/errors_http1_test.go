package errors_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// answers are what a server says to a request before it closes the connection.
var answers = map[string]string{
	"nothing":                    "",
	"garbage":                    "garbage\r\n\r\n",
	"garbage without a line end": "garbage",
	"garbage of two words":       "garbage more\r\n",
	"garbage of three words":     "220 mail ready\r\n",
	"another protocol":           "SSH-2.0-x\r\n\r\n",
	"an empty line":              "\r\n",
	"an empty line first":        "\r\nHTTP/1.1 200 OK\r\n\r\n",
	"a TLS alert":                "\x15\x03\x01\x00\x02\x02\x46",
	"a long line of garbage":     strings.Repeat("x", 100) + "\r\n",
	"an HTTP/2 frame":            "\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x05\x00\x00\x40\x00",
	"an odd version":             "HTTP/1.x 200 OK\r\n\r\n",
	"a version too long":         "HTTP/1.11 200 OK\r\n\r\n",
	"no status":                  "HTTP/1.1\r\n\r\n",
	"an odd status":              "HTTP/1.1 2x0 OK\r\n\r\n",
	"a short status":             "HTTP/1.1 20 OK\r\n\r\n",
	"a long status":              "HTTP/1.1 2000 OK\r\n\r\n",
	"a negative status":          "HTTP/1.1 -20 OK\r\n\r\n",
	"half a version":             "HTTP/1.",
	"half a status line":         "HTTP/1.1 20",
	"a status line":              "HTTP/1.1 200 OK",
	"a status line with its end": "HTTP/1.1 200 OK\r\n",
	"half a field name":          "HTTP/1.1 200 OK\r\nX-",
	"half a field":               "HTTP/1.1 200 OK\r\nX-A: ",
	"a field without an end":     "HTTP/1.1 200 OK\r\nX-A: b\r\n",
	"no colon":                   "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
	"no colon later":             "HTTP/1.1 200 OK\r\nX-A: b\r\nno colon\r\n\r\n",
	"an empty name":              "HTTP/1.1 200 OK\r\n: x\r\n\r\n",
	"a NUL in a value":           "HTTP/1.1 200 OK\r\nX-A: a\x00b\r\n\r\n",
	"a CR in a value":            "HTTP/1.1 200 OK\r\nX-A: a\rb\r\n\r\n",
	"an odd name":                "HTTP/1.1 200 OK\r\nX(A): b\r\n\r\n",
	"the first line of a fold":   "HTTP/1.1 200 OK\r\n X-A: x\r\n\r\n",
	"an odd length":              "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
	"an empty length":            "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n",
	"a negative length":          "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
	"a length too large":         "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
	"two lengths":                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
	"a list of lengths":          "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n",
	"an unknown coding":          "HTTP/1.1 200 OK\r\nTransfer-Encoding: br\r\n\r\n",
	"two codings":                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
	"a list of codings":          "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
	"an interim head only":       "HTTP/1.1 103 Early Hints\r\n\r\n",
	"garbage after an interim":   "HTTP/1.1 103 Early Hints\r\n\r\ngarbage\r\n",
	"a forbidden trailer":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n0\r\n\r\n",
}

// bodies are what a server says after the head, before it closes the connection.
var bodies = map[string]string{
	"half of its length":      "Content-Length: 9\r\n\r\nok",
	"none of its length":      "Content-Length: 9\r\n\r\n",
	"no chunk":                "Transfer-Encoding: chunked\r\n\r\n",
	"half a chunk size":       "Transfer-Encoding: chunked\r\n\r\n9",
	"half a chunk":            "Transfer-Encoding: chunked\r\n\r\n9\r\nok",
	"no end of a chunk":       "Transfer-Encoding: chunked\r\n\r\n2\r\nok",
	"half an end of a chunk":  "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r",
	"no last chunk":           "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
	"half a last chunk":       "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n",
	"half a trailer":          "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-A: b",
	"a trailer without end":   "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-A: b\r\n",
	"an odd trailer":          "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nno colon\r\n\r\n",
	"a negative chunk":        "Transfer-Encoding: chunked\r\n\r\n-1\r\nok",
	"an odd chunk size":       "Transfer-Encoding: chunked\r\n\r\nx\r\nok",
	"an empty chunk size":     "Transfer-Encoding: chunked\r\n\r\n\r\nok",
	"a chunk too large":       "Transfer-Encoding: chunked\r\n\r\n11111111111111111\r\nok",
	"a wrong end of a chunk":  "Transfer-Encoding: chunked\r\n\r\n2\r\nokxx0\r\n\r\n",
	"a chunk line too long":   "Transfer-Encoding: chunked\r\n\r\n2;" + strings.Repeat("x", 5000) + "\r\nok",
	"no gzip":                 "Content-Encoding: gzip\r\nContent-Length: 14\r\n\r\nno gzip at all",
	"half a gzip head":        "Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00",
	"no gzip to be had":       "Content-Encoding: gzip\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"half of gzip":            zipped(0, 10),
	"gzip with a wrong sum":   zipped(1, 0),
	"gzip with wrong content": "Content-Encoding: gzip\r\nContent-Length: 15\r\n\r\n\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff",
	"gzip cut by the server":  strings.Replace(zipped(0, 10), "Content-Length: ", "Content-Length: 1", 1),
}

// zipped returns a body in gzip, with its checksum off by sum, and without the last cut bytes.
func zipped(sum byte, cut int) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte("some text, " + strings.Repeat("and more ", 100))); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	z := b.Bytes()
	z[len(z)-8] += sum
	z = z[:len(z)-cut]
	head := httptestutil.ResponseWith(200, string(z), "Content-Encoding: gzip")
	_, rest, _ := strings.Cut(head, "\r\n")
	return rest
}

func TestAnAnswerFailsAsWithNetHTTP(t *testing.T) {
	table := failures{}
	for name, answer := range answers {
		table["answered by "+name] = answering(answer, http.MethodGet, &http.Transport{})
		table["by HEAD, answered by "+name] = answering(answer, http.MethodHead, &http.Transport{})
		table["reset after "+name] = answering(answer, http.MethodGet, resetting())
		table["reused, answered by "+name] = reusing(answer, &http.Transport{})
		if strings.HasPrefix(answer, "HTTP/") { // what is read ahead of anything else is refused at once, without the rest of its line
			table["reused, reset after "+name] = reusing(answer, resetting())
		}
	}
	for name, rest := range bodies {
		table["a body with "+name] = answering("HTTP/1.1 200 OK\r\n"+rest, http.MethodGet, &http.Transport{})
		table["reset after a body with "+name] = answering("HTTP/1.1 200 OK\r\n"+rest, http.MethodGet, resetting())
	}
	compare(t, table)
}

// answering is a row: a request on a new connection is answered so, and the connection closed.
func answering(answer, method string, config *http.Transport) func(*performance) {
	return func(p *performance) {
		w := httptestutil.NewWire(p, httptestutil.ReplyThenClose(answer))
		p.do(p.use(config.Clone()), p.request(method, w.URL(), nil))
	}
}

// reusing is a row: the second request on a connection is answered so, and the connection closed. It cannot be sent again.
func reusing(answer string, config *http.Transport) func(*performance) {
	return func(p *performance) {
		w := httptestutil.NewWire(p, func(c *httptestutil.WireConn) {
			if c.ReadRequest() != nil && c.Write(httptestutil.Response("ok")) && c.ReadRequest() != nil {
				c.Write(answer)
			}
		})
		tr := p.use(config.Clone())
		p.get(tr, w.URL())
		p.do(tr, p.upload(w.URL(), 10))
		p.note(fmt.Sprintf("%d connections", w.Conns()))
	}
}

// resetting returns a configuration in whose connections the end of what the server sends is a reset: one of the system's
// could overtake what comes before it.
func resetting() *http.Transport {
	return &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &resetConn{nc}, nil
	}}
}

type resetConn struct{ net.Conn }

func (c *resetConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == io.EOF {
		err = &net.OpError{Op: "read", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	}
	return n, err
}
