package peerpool_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// relay is an httputil.ReverseProxy with the Transport of the scene, in front of a server.
type relay struct {
	*scene
	backend *httptestutil.Origin
	front   *httptest.Server
	client  *http.Client
}

// relayTo starts a proxy in front of a handler.
func (s *scene) relayTo(handler http.HandlerFunc) *relay {
	s.Helper()
	httptestutil.CheckLeaks(s)
	backend := httptestutil.NewOrigin(s, httptestutil.OriginOptions{Handler: handler})
	target, err := url.Parse(backend.URL())
	if err != nil {
		s.Fatal(err)
	}
	front := httptest.NewServer(&httputil.ReverseProxy{
		Transport: s.use(nil),
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ErrorLog:  log.New(io.Discard, "", 0),
	})
	s.Cleanup(front.Close)
	client := &http.Client{Transport: &http.Transport{}}
	s.Cleanup(client.CloseIdleConnections)
	return &relay{s, backend, front, client}
}

// send sends a request through the proxy and notes the response, with the fields that are the backend's own.
func (r *relay) send(req *http.Request) {
	r.Helper()
	resp, err := r.client.Do(req)
	if err == nil {
		r.note("fields %v", fieldsOf(resp.Header))
	}
	r.response(resp, err)
	if err == nil {
		r.note("trailer %v", fieldsOf(resp.Trailer))
	}
}

// fieldsOf lists the fields whose names begin with X-, but for those of the origin, in order.
func fieldsOf(h http.Header) (fields []string) {
	for name, values := range h {
		if strings.HasPrefix(name, "X-") && name != httptestutil.HeaderOrigin {
			fields = append(fields, fmt.Sprintf("%s=%q", name, values))
		}
	}
	slices.Sort(fields)
	return fields
}

func TestAReverseProxyRelaysRequestsAsWithNetHTTP(t *testing.T) {
	sideBySide(t, func(s *scene) {
		r := s.relayTo(func(w http.ResponseWriter, req *http.Request) {
			body, err := io.ReadAll(req.Body)
			w.Header()["X-Many"] = []string{"1", "2"}
			w.WriteHeader(http.StatusCreated)
			fmt.Fprintf(w, "%s %s %v %d bytes %v", req.Method, req.RequestURI, fieldsOf(req.Header), len(body), err)
		})
		for _, size := range []int{0, 10, 100_000} {
			text := strings.Repeat("x", size)
			r.send(with(newRequest(s, http.MethodPost, r.front.URL+"/a%2Fb?q=1", strings.NewReader(text)), "X-A: 1", "Connection: X-Hop", "X-Hop: 1"))
			r.send(newRequest(s, http.MethodPut, r.front.URL, io.MultiReader(strings.NewReader(text))))
		}
		r.send(newRequest(s, http.MethodHead, r.front.URL, nil))
		r.send(newRequest(s, http.MethodGet, r.front.URL, nil))
		s.note("%d connections to the backend", r.backend.Conns())
	})
}

func TestAReverseProxyRelaysTrailersAsWithNetHTTP(t *testing.T) {
	sideBySide(t, func(s *scene) {
		r := s.relayTo(func(w http.ResponseWriter, req *http.Request) {
			_, _ = io.Copy(io.Discard, req.Body)
			w.Header().Set("Trailer", "X-Announced")
			fmt.Fprintf(w, "got trailer %v", fieldsOf(req.Trailer))
			w.Header().Set("X-Announced", "1")
			w.Header().Set(http.TrailerPrefix+"X-Unannounced", "2")
		})
		req := newRequest(s, http.MethodPost, r.front.URL, io.MultiReader(strings.NewReader("body")))
		req.Trailer = http.Header{"X-Up": {"3"}}
		req.Header.Set("TE", "trailers")
		r.send(req)
	})
}

func TestAReverseProxyRelaysInterimResponsesAsWithNetHTTP(t *testing.T) {
	sideBySide(t, func(s *scene) {
		r := s.relayTo(func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("X-Link", "early")
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Del("X-Link")
			_, _ = io.WriteString(w, "late")
		})
		req := newRequest(s, http.MethodGet, r.front.URL, nil)
		trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			s.note("%d %v", code, fieldsOf(http.Header(h)))
			return nil
		}}
		r.send(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
	})
}

// TestAReverseProxyPassesEachPieceOnAsWithNetHTTP: the backend goes on only when the client has read what there is.
func TestAReverseProxyPassesEachPieceOnAsWithNetHTTP(t *testing.T) {
	sideBySide(t, func(s *scene) {
		proceed := make(chan struct{})
		r := s.relayTo(func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for i := range 5 {
				fmt.Fprintf(w, "data: %d\n", i)
				_ = http.NewResponseController(w).Flush()
				select {
				case <-proceed:
				case <-req.Context().Done():
				}
			}
		})
		resp, err := r.client.Do(newRequest(s, http.MethodGet, r.front.URL, nil))
		if err != nil {
			s.Fatal(err)
		}
		defer resp.Body.Close()
		lines := bufio.NewReader(resp.Body)
		for range 5 {
			line, err := lines.ReadString('\n')
			s.note("%q %v", line, err)
			proceed <- struct{}{}
		}
		_, err = lines.ReadByte()
		s.note("at the end: %v", err)
	})
}

// TestAReverseProxyLetsGoOfAClientThatIsGoneAsWithNetHTTP: the backend must hear of it, and its connection is closed.
func TestAReverseProxyLetsGoOfAClientThatIsGoneAsWithNetHTTP(t *testing.T) {
	for where, begin := range map[string]func(w http.ResponseWriter){
		"before the head": func(http.ResponseWriter) {},
		"within the body": func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, "some")
			_ = http.NewResponseController(w).Flush()
		},
	} {
		t.Run(where, func(t *testing.T) {
			sideBySide(t, func(s *scene) {
				reached, heard := make(chan struct{}), make(chan struct{})
				r := s.relayTo(func(w http.ResponseWriter, req *http.Request) {
					begin(w)
					close(reached)
					<-req.Context().Done()
					close(heard)
				})
				ctx, goAway := context.WithCancel(s.Context())
				go func() { <-reached; goAway() }()
				if got := quietly(r.client.Transport, newRequest(s, http.MethodGet, r.front.URL, nil).WithContext(ctx)); got != context.Canceled.Error() {
					s.Errorf("the client got %q", got)
				}
				<-heard
				r.backend.WaitOpenConns(0)
				s.note("the backend has heard of it")
			})
		})
	}
}

func TestAReverseProxyTellsOfABackendThatFailsAsWithNetHTTP(t *testing.T) {
	for how, fail := range map[string]func(http.ResponseWriter){
		"at once": func(w http.ResponseWriter) { hangUp(w, "") },
		"within the head": func(w http.ResponseWriter) {
			hangUp(w, "HTTP/1.1 200 OK\r\nX-A")
		},
		"within the body": func(w http.ResponseWriter) {
			hangUp(w, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nsome")
		},
		"within a chunk": func(w http.ResponseWriter) {
			hangUp(w, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nsome")
		},
	} {
		t.Run(how, func(t *testing.T) {
			sideBySide(t, func(s *scene) {
				r := s.relayTo(func(w http.ResponseWriter, _ *http.Request) { fail(w) })
				r.send(newRequest(s, http.MethodPost, r.front.URL, nil))
			})
		})
	}
}

// hangUp writes what it is told and closes the connection.
func hangUp(w http.ResponseWriter, text string) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	_, _ = io.WriteString(conn, text)
	conn.Close()
}

// dialWebSocket begins a WebSocket handshake with the proxy, and returns the connection and what came back.
func (r *relay) dialWebSocket(path string) (net.Conn, *bufio.Reader, *http.Response) {
	r.Helper()
	conn, err := net.Dial("tcp", r.front.Listener.Addr().String())
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
	r.note("%s, Upgrade %q, accepts %q", resp.Status, resp.Header.Get("Upgrade"), resp.Header.Get("Sec-WebSocket-Accept"))
	return conn, in, resp
}

// webSocket accepts every handshake but for that of /refuse, sends back each byte, and reports how it ended.
func webSocket(ended chan<- error) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/refuse" || req.Header.Get("Sec-WebSocket-Key") == "" {
			http.Error(w, "not today", http.StatusForbidden)
			return
		}
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
			"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81\x02hi")
		if req.URL.Path == "/brief" {
			return
		}
		_, err = io.Copy(conn, rw)
		ended <- err
	}
}

func TestAReverseProxyRelaysAWebSocketAsWithNetHTTP(t *testing.T) {
	sideBySide(t, func(s *scene) {
		ended := make(chan error, 1)
		r := s.relayTo(webSocket(ended))
		conn, in, _ := r.dialWebSocket("/")
		for _, frame := range []string{"", "\x81\x82abcd\x01\x02", strings.Repeat("x", 100_000)} {
			go func() { _, _ = io.WriteString(conn, frame) }()
			want := frame
			if want == "" {
				want = "\x81\x02hi"
			}
			got := make([]byte, len(want))
			_, err := io.ReadFull(in, got)
			s.note("%d bytes back, the same %v, %v", len(got), string(got) == want, err)
		}
		conn.Close()
		s.note("the backend's end: %v", <-ended)
		r.backend.WaitOpenConns(0)
	})
}

func TestAReverseProxyEndsAWebSocketWithItsBackendAsWithNetHTTP(t *testing.T) {
	sideBySide(t, func(s *scene) {
		r := s.relayTo(webSocket(nil))
		_, in, _ := r.dialWebSocket("/brief")
		rest, err := io.ReadAll(in)
		s.note("%q, %v", rest, err)
		r.backend.WaitOpenConns(0)
	})
}

func TestAReverseProxyRelaysTheRefusalOfAWebSocketAsWithNetHTTP(t *testing.T) {
	sideBySide(t, func(s *scene) {
		r := s.relayTo(webSocket(nil))
		_, _, resp := r.dialWebSocket("/refuse")
		s.response(resp, nil)
		r.send(newRequest(s, http.MethodGet, r.front.URL+"/refuse", nil))
	})
}
