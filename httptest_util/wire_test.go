package httptestutil_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// dial connects to a wire without a client in between.
func dial(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(httptestutil.Bound)); err != nil {
		t.Fatal(err)
	}
	return nc.(*net.TCPConn)
}

func write(t *testing.T, w io.Writer, s string) {
	t.Helper()
	if _, err := io.WriteString(w, s); err != nil {
		t.Fatal(err)
	}
}

const rawGet = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

func TestRepliesAnswersRequestAfterRequestOnOneConnection(t *testing.T) {
	httptestutil.CheckLeaks(t)
	w := httptestutil.NewWire(t, httptestutil.Replies(
		httptestutil.Response("one"), httptestutil.ResponseWith(404, "two", "X-A: b")))
	nc := dial(t, w.Addr())
	for range 3 {
		write(t, nc, rawGet)
	}
	if err := nc.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(nc)
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "ones", strings.Count(string(all), "200 OK\r\nContent-Length: 3\r\n\r\none"), 1)
	wantEqual(t, "twos", strings.Count(string(all), "404 Not Found\r\nX-A: b\r\nContent-Length: 3\r\n\r\ntwo"), 2)
	wantEqual(t, "requests", w.Requests(), 3)
	wantEqual(t, "conns", w.Conns(), 1)
}

func TestTheMonitorSeesAClientCloseAndOnlyThat(t *testing.T) {
	httptestutil.CheckLeaks(t)
	w := httptestutil.NewWire(t, httptestutil.PerConn(
		httptestutil.ReplyThenStall(httptestutil.Response("ok")),
		httptestutil.ReplyThenClose(httptestutil.Response("ok")),
	))
	client := newClient(t, nil)
	get(t, client, w.URL())
	wantEqual(t, "closed by the client before", w.ClientClosed(1), false)
	client.CloseIdleConnections()
	if err := w.WaitClientClosed(1); err != nil {
		t.Errorf("the client closed with %v", err)
	}
	get(t, client, w.URL())
	w.WaitOpenConns(0)
	wantEqual(t, "closed by the client, who did not", w.ClientClosed(2), false)
}

func TestTheMonitorTellsAResetFromAClose(t *testing.T) {
	w := httptestutil.NewWire(t, httptestutil.Replies(httptestutil.Response("ok")))
	nc := dial(t, w.Addr())
	if err := nc.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	nc.Close()
	err := w.WaitClientClosed(1)
	if runtime.GOOS != "windows" && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want ECONNRESET", err)
	}
}

func TestTheMonitorNoticesAnAbsentCloseNotify(t *testing.T) {
	w := httptestutil.NewWireWith(t, httptestutil.WireOptions{CA: httptestutil.NewCA(t)},
		httptestutil.Replies(httptestutil.Response("ok")))
	for n, closing := range []func(*tls.Conn){
		func(tc *tls.Conn) { tc.Close() },
		func(tc *tls.Conn) { tc.NetConn().Close() },
	} {
		cfg := w.ClientTLS()
		cfg.ServerName = "localhost"
		tc := tls.Client(dial(t, w.Addr()), cfg)
		write(t, tc, rawGet)
		if _, err := io.ReadFull(tc, make([]byte, len(httptestutil.Response("ok")))); err != nil {
			t.Fatal(err)
		}
		closing(tc)
		want := []error{nil, io.ErrUnexpectedEOF}[n]
		wantEqual(t, "closing", w.WaitClientClosed(n+1), want)
	}
}

func TestWaitClosedEndsWithTheBoundIfTheClientStays(t *testing.T) {
	ended := make(chan error, 1)
	w := httptestutil.NewWireWith(t, httptestutil.WireOptions{Bound: time.Millisecond},
		func(c *httptestutil.WireConn) { ended <- c.WaitClosed() })
	dial(t, w.Addr())
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v, want a deadline exceeded", err)
	}
	wantEqual(t, "closed by the client", w.ClientClosed(1), false)
}

func TestAnEndingReachesTheClient(t *testing.T) {
	cut := "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"
	for name, c := range map[string]struct {
		script httptestutil.Script
		want   string
	}{
		"close":      {httptestutil.ReplyThenClose(cut), "unexpected EOF"},
		"half close": {httptestutil.ReplyThenHalfClose(cut), "unexpected EOF"},
		"at once":    {httptestutil.CloseAtOnce, "Get "},
	} {
		t.Run(name, func(t *testing.T) {
			httptestutil.CheckLeaks(t)
			w := httptestutil.NewWire(t, c.script)
			_, _, err := tryGet(t, newClient(t, nil), w.URL())
			wantError(t, err, c.want)
		})
	}
}

func TestAResetReachesTheClient(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("winsock has an error number of its own")
	}
	read := make(chan struct{})
	w := httptestutil.NewWire(t, func(c *httptestutil.WireConn) {
		c.ReadRequest()
		c.Write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
		c.Await(read) // a reset may overtake what was written
		c.Reset()
	})
	resp, err := newClient(t, nil).Get(w.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	close(read)
	if _, err := io.ReadAll(resp.Body); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want ECONNRESET", err)
	}
}

func TestACutMissesTheCloseNotifyThatACloseSends(t *testing.T) {
	for name, c := range map[string]struct {
		script httptestutil.Script
		ends   int // ends of the connection read before TLS says that it ends
	}{
		"close": {httptestutil.ReplyThenClose("to the end"), 0},
		"cut":   {httptestutil.ReplyThenCut("to the end"), 1},
	} {
		w := httptestutil.NewWireWith(t, httptestutil.WireOptions{CA: httptestutil.NewCA(t)}, c.script)
		cfg := w.ClientTLS()
		cfg.ServerName = "localhost"
		counted := &countingReads{Conn: dial(t, w.Addr())}
		tc := tls.Client(counted, cfg)
		write(t, tc, rawGet)
		body, err := io.ReadAll(tc)
		if err != nil {
			t.Fatal(err)
		}
		wantEqual(t, name+": body", string(body), "to the end")
		wantEqual(t, name+": ends", counted.ends, c.ends)
	}
}

func TestExtraBytesArriveWithTheResponse(t *testing.T) {
	w := httptestutil.NewWire(t, httptestutil.ReplyWithExtra("reply", "extra"))
	nc := dial(t, w.Addr())
	write(t, nc, rawGet)
	buf := make([]byte, 100)
	n, err := nc.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "one read", string(buf[:n]), "replyextra")
}

func TestRecordsWrittenTogetherArriveInOnePiece(t *testing.T) {
	w := httptestutil.NewWireWith(t, httptestutil.WireOptions{CA: httptestutil.NewCA(t)},
		httptestutil.ReplyWithExtra("reply", "extra"))
	cfg := w.ClientTLS()
	cfg.ServerName = "localhost"
	counted := &countingReads{Conn: dial(t, w.Addr())}
	tc := tls.Client(counted, cfg)
	write(t, tc, rawGet)
	for _, want := range []string{"reply", "extra"} {
		buf := make([]byte, 100)
		n, err := tc.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "one record", string(buf[:n]), want)
		if want == "reply" {
			counted.reads = 0
		}
	}
	wantEqual(t, "reads for the second record", counted.reads, 0)
}

type countingReads struct {
	net.Conn
	reads int
	ends  int
}

func (c *countingReads) Read(p []byte) (int, error) {
	c.reads++
	n, err := c.Conn.Read(p)
	if err == io.EOF {
		c.ends++
	}
	return n, err
}

func TestExtraBytesWaitForTheSignal(t *testing.T) {
	signal := make(chan struct{})
	w := httptestutil.NewWire(t, httptestutil.ReplyThenExtra("reply", signal, "extra"))
	nc := dial(t, w.Addr())
	write(t, nc, rawGet)
	buf := make([]byte, 100)
	n, err := nc.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "before the signal", string(buf[:n]), "reply")
	signal <- struct{}{}
	if n, err = nc.Read(buf); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "after the signal", string(buf[:n]), "extra")
	write(t, nc, rawGet)
	if n, err = nc.Read(buf); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "the next answer", string(buf[:n]), "reply")
}

func TestADripGivesOneByteForEachTick(t *testing.T) {
	tick := make(chan struct{})
	w := httptestutil.NewWire(t, httptestutil.DripReply("abc", tick))
	nc := dial(t, w.Addr())
	write(t, nc, rawGet)
	for _, want := range "abc" {
		tick <- struct{}{}
		buf := make([]byte, 100)
		n, err := nc.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "after a tick", string(buf[:n]), string(want))
	}
	nc.Close()
	if err := w.WaitClientClosed(1); err != nil {
		t.Error(err)
	}
}

func TestAGreetingComesBeforeTheRequest(t *testing.T) {
	w := httptestutil.NewWire(t, httptestutil.WriteFirst("early", httptestutil.CloseAtOnce))
	all, err := io.ReadAll(dial(t, w.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "greeting", string(all), "early")
}

func TestAScriptReadsTheBodyOrLeavesIt(t *testing.T) {
	got := make(chan string, 2)
	w := httptestutil.NewWire(t, httptestutil.PerConn(
		func(c *httptestutil.WireConn) {
			body, _ := io.ReadAll(c.ReadRequest().Body)
			got <- string(body)
			c.Write(httptestutil.Response(""))
		},
		func(c *httptestutil.WireConn) {
			got <- c.ReadHead().Method
			c.Write(httptestutil.ResponseWith(413, "too large"))
			c.WaitClosed()
		},
	))
	client := newClient(t, nil)
	resp, err := client.Post(w.URL(), "text/plain", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	wantEqual(t, "body", <-got, "body")
	client.CloseIdleConnections()

	pr, pw := io.Pipe()
	defer pw.Close()
	resp, err = client.Post(w.URL(), "text/plain", pr)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	wantEqual(t, "method", <-got, http.MethodPost)
	wantEqual(t, "status", resp.StatusCode, 413)
}

func TestAServerThatReadsNothingEndsWithTheTest(t *testing.T) {
	httptestutil.CheckLeaks(t)
	wantNoFailure(t, failures(t, func(tb testing.TB) {
		w := httptestutil.NewWire(tb, httptestutil.ReadNothing)
		nc := dial(t, w.Addr())
		write(t, nc, rawGet)
		nc.Close()
		wantEqual(t, "seen to close", w.ClientClosed(1), false)
	}))
}

func TestAScriptThatGetsNoRequestReadsNil(t *testing.T) {
	got := make(chan *http.Request, 2)
	w := httptestutil.NewWire(t, func(c *httptestutil.WireConn) { got <- c.ReadRequest() })
	for _, sent := range []string{"no request\r\n\r\n", ""} {
		nc := dial(t, w.Addr())
		write(t, nc, sent)
		nc.Close()
		if req := <-got; req != nil {
			t.Errorf("%q was read as %v", sent, req)
		}
	}
}
