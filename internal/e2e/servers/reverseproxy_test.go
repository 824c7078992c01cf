package servers_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"

	"github.com/peerpool/peerpool/internal/testkit"
)

func TestAReverseProxyRelaysRequestsAsWithNetHTTP(t *testing.T) {
	testkit.SideBySide(t, func(s *testkit.Scene) {
		r := s.RelayTo(func(w http.ResponseWriter, req *http.Request) {
			body, err := io.ReadAll(req.Body)
			w.Header()["X-Many"] = []string{"1", "2"}
			w.WriteHeader(http.StatusCreated)
			fmt.Fprintf(w, "%s %s %v %d bytes %v", req.Method, req.RequestURI, testkit.FieldsOf(req.Header), len(body), err)
		})
		for _, size := range []int{0, 10, 100_000} {
			text := strings.Repeat("x", size)
			r.Send(testkit.With(testkit.NewRequest(s, http.MethodPost, r.Front.URL+"/a%2Fb?q=1", strings.NewReader(text)), "X-A: 1", "Connection: X-Hop", "X-Hop: 1"))
			r.Send(testkit.NewRequest(s, http.MethodPut, r.Front.URL, io.MultiReader(strings.NewReader(text))))
		}
		r.Send(testkit.NewRequest(s, http.MethodHead, r.Front.URL, nil))
		r.Send(testkit.NewRequest(s, http.MethodGet, r.Front.URL, nil))
		s.Note("%d connections to the backend", r.Backend.Conns())
	})
}

func TestAReverseProxyRelaysTrailersAsWithNetHTTP(t *testing.T) {
	testkit.SideBySide(t, func(s *testkit.Scene) {
		r := s.RelayTo(func(w http.ResponseWriter, req *http.Request) {
			_, _ = io.Copy(io.Discard, req.Body)
			w.Header().Set("Trailer", "X-Announced")
			fmt.Fprintf(w, "got trailer %v", testkit.FieldsOf(req.Trailer))
			w.Header().Set("X-Announced", "1")
			w.Header().Set(http.TrailerPrefix+"X-Unannounced", "2")
		})
		req := testkit.NewRequest(s, http.MethodPost, r.Front.URL, io.MultiReader(strings.NewReader("body")))
		req.Trailer = http.Header{"X-Up": {"3"}}
		req.Header.Set("TE", "trailers")
		r.Send(req)
	})
}

func TestAReverseProxyRelaysInterimResponsesAsWithNetHTTP(t *testing.T) {
	testkit.SideBySide(t, func(s *testkit.Scene) {
		r := s.RelayTo(func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("X-Link", "early")
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Del("X-Link")
			_, _ = io.WriteString(w, "late")
		})
		req := testkit.NewRequest(s, http.MethodGet, r.Front.URL, nil)
		trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			s.Note("%d %v", code, testkit.FieldsOf(http.Header(h)))
			return nil
		}}
		r.Send(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
	})
}

// TestAReverseProxyPassesEachPieceOnAsWithNetHTTP uses a backend that sends the next piece only after the client has read
// the previous one.
func TestAReverseProxyPassesEachPieceOnAsWithNetHTTP(t *testing.T) {
	testkit.SideBySide(t, func(s *testkit.Scene) {
		proceed := make(chan struct{})
		r := s.RelayTo(func(w http.ResponseWriter, req *http.Request) {
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
		resp, err := r.Client.Do(testkit.NewRequest(s, http.MethodGet, r.Front.URL, nil))
		if err != nil {
			s.Fatal(err)
		}
		defer resp.Body.Close()
		lines := bufio.NewReader(resp.Body)
		for range 5 {
			line, err := lines.ReadString('\n')
			s.Note("%q %v", line, err)
			proceed <- struct{}{}
		}
		_, err = lines.ReadByte()
		s.Note("at the end: %v", err)
	})
}

// TestAReverseProxyLetsGoOfAClientThatIsGoneAsWithNetHTTP checks that the backend learns that the client is gone, and that
// the backend's connection is closed.
func TestAReverseProxyLetsGoOfAClientThatIsGoneAsWithNetHTTP(t *testing.T) {
	for where, begin := range map[string]func(w http.ResponseWriter){
		"before the head": func(http.ResponseWriter) {},
		"within the body": func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, "some")
			_ = http.NewResponseController(w).Flush()
		},
	} {
		t.Run(where, func(t *testing.T) {
			testkit.SideBySide(t, func(s *testkit.Scene) {
				reached, heard := make(chan struct{}), make(chan struct{})
				r := s.RelayTo(func(w http.ResponseWriter, req *http.Request) {
					begin(w)
					close(reached)
					<-req.Context().Done()
					close(heard)
				})
				ctx, goAway := context.WithCancel(s.Context())
				go func() { <-reached; goAway() }()
				if got := testkit.Quietly(r.Client.Transport, testkit.NewRequest(s, http.MethodGet, r.Front.URL, nil).WithContext(ctx)); got != context.Canceled.Error() {
					s.Errorf("the client got %q", got)
				}
				<-heard
				r.Backend.WaitOpenConns(0)
				s.Note("the backend has heard of it")
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
			testkit.SideBySide(t, func(s *testkit.Scene) {
				r := s.RelayTo(func(w http.ResponseWriter, _ *http.Request) { fail(w) })
				r.Send(testkit.NewRequest(s, http.MethodPost, r.Front.URL, nil))
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
	testkit.SideBySide(t, func(s *testkit.Scene) {
		ended := make(chan error, 1)
		r := s.RelayTo(webSocket(ended))
		conn, in, _ := r.DialWebSocket("/")
		for _, frame := range []string{"", "\x81\x82abcd\x01\x02", strings.Repeat("x", 100_000)} {
			go func() { _, _ = io.WriteString(conn, frame) }()
			want := frame
			if want == "" {
				want = "\x81\x02hi"
			}
			got := make([]byte, len(want))
			_, err := io.ReadFull(in, got)
			s.Note("%d bytes back, the same %v, %v", len(got), string(got) == want, err)
		}
		conn.Close()
		s.Note("the backend's end: %v", <-ended)
		r.Backend.WaitOpenConns(0)
	})
}

func TestAReverseProxyEndsAWebSocketWithItsBackendAsWithNetHTTP(t *testing.T) {
	testkit.SideBySide(t, func(s *testkit.Scene) {
		r := s.RelayTo(webSocket(nil))
		_, in, _ := r.DialWebSocket("/brief")
		rest, err := io.ReadAll(in)
		s.Note("%q, %v", rest, err)
		r.Backend.WaitOpenConns(0)
	})
}

func TestAReverseProxyRelaysTheRefusalOfAWebSocketAsWithNetHTTP(t *testing.T) {
	testkit.SideBySide(t, func(s *testkit.Scene) {
		r := s.RelayTo(webSocket(nil))
		_, _, resp := r.DialWebSocket("/refuse")
		s.Response(resp, nil)
		r.Send(testkit.NewRequest(s, http.MethodGet, r.Front.URL+"/refuse", nil))
	})
}
