package testkit

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// relay is an httputil.ReverseProxy in front of a server. It uses the Transport of the scene.
type relay struct {
	*Scene
	Backend *httptestutil.Origin
	Front   *httptest.Server
	Client  *http.Client
}

// RelayTo starts a proxy in front of a handler.
func (s *Scene) RelayTo(handler http.HandlerFunc) *relay {
	s.Helper()
	httptestutil.CheckLeaks(s)
	backend := httptestutil.NewOrigin(s, httptestutil.OriginOptions{Handler: handler})
	target, err := url.Parse(backend.URL())
	if err != nil {
		s.Fatal(err)
	}
	front := httptest.NewServer(&httputil.ReverseProxy{
		Transport: s.Use(nil),
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ErrorLog:  log.New(io.Discard, "", 0),
	})
	s.Cleanup(front.Close)
	client := &http.Client{Transport: &http.Transport{}}
	s.Cleanup(client.CloseIdleConnections)
	return &relay{s, backend, front, client}
}

// Send sends a request through the proxy and notes the response, with the fields that are the backend's own.
func (r *relay) Send(req *http.Request) {
	r.Helper()
	resp, err := r.Client.Do(req)
	if err == nil {
		r.Note("fields %v", FieldsOf(resp.Header))
	}
	r.Response(resp, err)
	if err == nil {
		r.Note("trailer %v", FieldsOf(resp.Trailer))
	}
}

// FieldsOf returns the fields whose names begin with X-, except those of the origin, in order.
func FieldsOf(h http.Header) (fields []string) {
	for name, values := range h {
		if strings.HasPrefix(name, "X-") && name != httptestutil.HeaderOrigin {
			fields = append(fields, fmt.Sprintf("%s=%q", name, values))
		}
	}
	slices.Sort(fields)
	return fields
}

// DialWebSocket begins a WebSocket handshake with the proxy, and returns the connection and the response.
func (r *relay) DialWebSocket(path string) (net.Conn, *bufio.Reader, *http.Response) {
	r.Helper()
	conn, err := net.Dial("tcp", r.Front.Listener.Addr().String())
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", path)
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		r.Fatal(err)
	}
	r.Note("%s, Upgrade %q, accepts %q", resp.Status, resp.Header.Get("Upgrade"), resp.Header.Get("Sec-WebSocket-Accept"))
	return conn, in, resp
}

// EchoUpgrade switches to a protocol that sends a greeting and then echoes everything until the end.
func EchoUpgrade(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "echo" {
		httptestutil.Echo(w, r)
		return
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello\n")
	io.Copy(conn, rw)
}

func Upgrading(t *testing.T, url string) *http.Request {
	t.Helper()
	return With(NewRequest(t, "GET", url, nil), "Connection: Upgrade", "Upgrade: echo")
}
