package httptestutil_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// ask writes a raw request to addr and returns all that comes back until the
// other side closes.
func ask(t *testing.T, addr, request string) string {
	t.Helper()
	nc := dial(t, addr)
	write(t, nc, request)
	all, err := io.ReadAll(nc)
	if err != nil {
		t.Fatal(err)
	}
	return string(all)
}

func wantPrefix(t *testing.T, what, got, want string) {
	t.Helper()
	if !strings.HasPrefix(got, want) {
		t.Errorf("%s: got %q, want it to begin with %q", what, got, want)
	}
}

func TestReadSeenEndsTheTestOnWhatIsNoEcho(t *testing.T) {
	for answer, want := range map[string]string{
		httptestutil.ResponseWith(503, "busy"):                       "503",
		httptestutil.Response("not JSON"):                            "not an echo",
		"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}":             "unexpected EOF",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n": "reading the origin's answer",
	} {
		w := httptestutil.NewWire(t, httptestutil.ReplyThenClose(answer))
		resp, err := newClient(t, nil).Get(w.URL())
		if err != nil {
			t.Fatal(err)
		}
		wantFailure(t, failures(t, func(tb testing.TB) { httptestutil.ReadSeen(tb, resp) }), want)
	}
}

func TestEchoRefusesABodyThatBreaksOff(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	nc := dial(t, o.Addr())
	write(t, nc, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
	if err := nc.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(nc)
	if err != nil {
		t.Fatal(err)
	}
	wantPrefix(t, "answer", string(all), "HTTP/1.1 400 ")
}

func TestSeenByARequestFromElsewhereIsZero(t *testing.T) {
	req, err := http.NewRequest(http.MethodGet, "http://example.test/", nil)
	if err != nil {
		t.Fatal(err)
	}
	seen := httptestutil.SeenBy(req)
	wantEqual(t, "conn", seen.Conn, 0)
}

func TestAnOriginInMemoryResetsItsConnections(t *testing.T) {
	l := httptestutil.NewListener(0)
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Listener: l})
	nc, err := o.Dial(t.Context(), "tcp", "example.test:80")
	if err != nil {
		t.Fatal(err)
	}
	o.WaitOpenConns(1)
	o.ResetConns()
	_, err = nc.Read(make([]byte, 1))
	wantIs(t, "read", err, syscall.ECONNRESET)
}

func TestClosingReachesHijackedConnections(t *testing.T) {
	for name, end := range map[string]func(*httptestutil.Origin){
		"CloseConns": (*httptestutil.Origin).CloseConns,
		"Stop":       (*httptestutil.Origin).Stop,
	} {
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{
			Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				nc, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := io.WriteString(nc, "taken"); err != nil {
					t.Error(err)
				}
			}),
		})
		nc := dial(t, o.Addr())
		write(t, nc, rawGet)
		wantEqual(t, name+": read", readString(t, nc), "taken")
		o.CloseIdle() // which a hijacked connection is not
		wantEqual(t, name+": open connections", o.OpenConns(), 1)
		end(o)
		_, err := nc.Read(make([]byte, 1))
		wantEqual(t, name+": read after the end", err, io.EOF)
	}
}

// A slowWriter is a listener whose connections come back from a write, and
// with them the server, when they are released.
type slowWriter struct {
	*httptestutil.Listener
	release chan struct{}
}

type slowConn struct {
	net.Conn
	release <-chan struct{}
}

func (l slowWriter) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	return slowConn{nc, l.release}, err
}

func (c slowConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	<-c.release
	return n, err
}

func TestCloseIdleWaitsForTheServerToCatchUpWithTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := slowWriter{httptestutil.NewListener(0), make(chan struct{})}
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Listener: l})
		client := newClient(t, nil, func(tr *http.Transport) { tr.DialContext = o.Dial })
		echo(t, client, o.URL())
		closed := false
		go func() {
			o.CloseIdle()
			closed = true
		}()
		synctest.Wait()
		wantEqual(t, "closed too early", closed, false)
		close(l.release)
		synctest.Wait()
		wantEqual(t, "closed", closed, true)
		wantEqual(t, "open connections", o.OpenConns(), 0)
	})
}

func TestAnHTTPProxyTellsAClientThatExpectsItToGoOn(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	p := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{})
	nc := dial(t, p.Addr())
	write(t, nc, "PUT "+o.URL()+"/ HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
	wantEqual(t, "before the body", readString(t, nc), "HTTP/1.1 100 Continue\r\n\r\n")
	write(t, nc, "body")
	wantPrefix(t, "after the body", readString(t, nc), "HTTP/1.1 200 OK\r\n")
}

func TestPerConnWithoutScriptsReadsNothing(t *testing.T) {
	w := httptestutil.NewWire(t, httptestutil.PerConn())
	dial(t, w.Addr())
	w.WaitOpenConns(1)
	w.Close()
	wantEqual(t, "open after the end", w.OpenConns(), 0)
}

func TestRepliesWithoutResponsesNeverAnswers(t *testing.T) {
	w := httptestutil.NewWire(t, httptestutil.Replies())
	nc := dial(t, w.Addr())
	write(t, nc, rawGet)
	if err := nc.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(nc)
	wantEqual(t, "answer", string(all), "")
	wantEqual(t, "error", err, nil)
}

func TestAWireListensOnAUnixSocketAndOnIPv6(t *testing.T) {
	for _, network := range []string{"unix", "tcp6"} {
		w := httptestutil.NewWireWith(t, httptestutil.WireOptions{Network: network},
			httptestutil.Replies(httptestutil.Response("ok")))
		var d net.Dialer
		nc, err := d.DialContext(t.Context(), network, w.Addr())
		if err != nil {
			t.Fatal(err)
		}
		write(t, nc, rawGet)
		if err := nc.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		all, err := io.ReadAll(nc)
		if err != nil {
			t.Fatal(err)
		}
		wantEqual(t, network, string(all), httptestutil.Response("ok"))
		nc.Close()
	}
}

func TestAScriptSeesTheTLSConnection(t *testing.T) {
	protocol := make(chan string, 1)
	w := httptestutil.NewWireWith(t, httptestutil.WireOptions{
		TLS: &tls.Config{NextProtos: []string{"odd"}},
	}, func(c *httptestutil.WireConn) {
		tc, ok := c.Conn().(*tls.Conn)
		if !ok || tc.Handshake() != nil {
			protocol <- "no handshake"
			return
		}
		protocol <- tc.ConnectionState().NegotiatedProtocol
	})
	cfg := w.ClientTLS()
	cfg.ServerName, cfg.NextProtos = "localhost", []string{"odd"}
	if err := tls.Client(dial(t, w.Addr()), cfg).Handshake(); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "protocol", <-protocol, "odd")
	wantPrefix(t, "URL", w.URL(), "https://127.0.0.1:")
}

func TestAnHTTPProxyRefusesWhatIsNotForAProxy(t *testing.T) {
	p := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{})
	got := ask(t, p.Addr(), "GET /path HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	wantPrefix(t, "origin-form", got, "HTTP/1.1 400 ")
	got = ask(t, p.Addr(), "GET https://x/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	wantPrefix(t, "https", got, "HTTP/1.1 400 ")
	wantEqual(t, "granted", p.Granted(), 0)
}

func TestAnHTTPProxyClosesAfterAnAnswerToHTTP10(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	p := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{})
	got := ask(t, p.Addr(), "GET "+o.URL()+"/ HTTP/1.0\r\n\r\n")
	wantPrefix(t, "answer", got, "HTTP/1.1 200 ")
	wantEqual(t, "granted", p.Granted(), 1)
}

func TestAnHTTPProxyFramesAnAnswerThatEndsWithItsConnection(t *testing.T) {
	w := httptestutil.NewWire(t, httptestutil.ReplyThenClose("HTTP/1.1 200 OK\r\n\r\nto the end"))
	p := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{})
	nc := dial(t, p.Addr())
	br := bufio.NewReader(nc)
	for range 2 {
		write(t, nc, "GET "+w.URL()+"/ HTTP/1.1\r\nHost: x\r\n\r\n")
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "body", string(body), "to the end")
		wantEqual(t, "close", resp.Close, false)
	}
	wantEqual(t, "connections at the proxy", p.Conns(), 1)
}

func TestAFailureOfTheOriginIsABadGateway(t *testing.T) {
	w := httptestutil.NewWire(t, httptestutil.CloseAtOnce)
	p := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{})
	_, resp := get(t, newClient(t, nil, through(p.URL())), w.URL())
	wantEqual(t, "status", resp.StatusCode, http.StatusBadGateway)
	wantEqual(t, "granted", p.Granted(), 0)
}

func TestAuthoritiesAreHandedOut(t *testing.T) {
	ca := httptestutil.NewCA(t)
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: ca})
	w := httptestutil.NewWireWith(t, httptestutil.WireOptions{CA: ca}, httptestutil.CloseAtOnce)
	p := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{CA: ca})
	for what, got := range map[string]*httptestutil.CA{"origin": o.CA(), "wire": w.CA(), "proxy": p.CA()} {
		if got != ca {
			t.Errorf("the %s has another authority", what)
		}
	}
	for what, opts := range map[string]httptestutil.OriginOptions{
		"without TLS":                 {},
		"with somebody's certificate": {TLS: &tls.Config{Certificates: []tls.Certificate{ca.Server()}}},
	} {
		o := httptestutil.NewOrigin(t, opts)
		if o.CA() != nil || o.ClientTLS() != nil {
			t.Errorf("an origin %s has an authority", what)
		}
	}
	if !ca.Certificate().IsCA {
		t.Error("the authority's certificate is not an authority's")
	}
}
