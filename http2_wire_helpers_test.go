package peerpool_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"golang.org/x/net/http2"
)

const example = "http://example.test/"

// framed is a Transport that speaks HTTP/2 in a bubble, to a server that the test plays frame by frame. A goroutine
// that is left when the test ends fails it, and so does a connection or a lease (see observe).
type framed struct {
	*subject
	ln    *httptestutil.Listener
	peers []*peer
}

// aWeek is longer than anything takes, by the clock of a bubble.
const aWeek = 7 * 24 * time.Hour

// frameTest runs a test in a bubble of its own.
func frameTest(t *testing.T, tr *peerpool.Transport, test func(h *framed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ln := httptestutil.NewListener(0)
		t.Cleanup(func() { ln.Close() })
		tr.DialContext = ln.Dial
		if tr.Protocols == nil {
			tr.Protocols = new(http.Protocols)
			tr.Protocols.SetUnencryptedHTTP2(true)
		}
		h := &framed{subject: observe(t, tr), ln: ln}
		t.Cleanup(func() {
			for _, p := range h.peers {
				p.Close()
			}
		})
		test(h)
	})
}

// peer is the server's end of a connection, with verbs that fail the test.
type peer struct {
	*httptestutil.FrameConn
	t  testing.TB
	nc net.Conn
}

// accept returns the next connection, which must have been dialed. The server has not said anything yet.
func (h *framed) accept() *peer {
	h.t.Helper()
	synctest.Wait()
	if n := len(h.peers); h.ln.Dials() <= n {
		h.t.Fatalf("%d connections have been dialed, want one more; %+v", n, h.Stats())
	}
	nc, err := h.ln.Accept()
	if err != nil {
		h.t.Fatal(err)
	}
	// Without a deadline a test that waits in vain would end all of them.
	if err := nc.SetDeadline(time.Now().Add(aWeek)); err != nil {
		h.t.Fatal(err)
	}
	p := &peer{httptestutil.Frames(nc), h.t, nc}
	h.peers = append(h.peers, p)
	return p
}

// welcome accepts a connection and allows 100 streams on it.
func (h *framed) welcome() *peer {
	h.t.Helper()
	p := h.accept()
	p.MaxStreams(100)
	return p
}

// dials checks how many connections have been dialed so far, once everything has come to rest.
func (h *framed) dials(want int) {
	h.t.Helper()
	synctest.Wait()
	if n := h.ln.Dials(); n != want {
		h.t.Errorf("%d connections dialed, want %d", n, want)
	}
}

// request returns the next request on the connection.
func (p *peer) request() *httptestutil.FrameRequest {
	p.t.Helper()
	req := p.ReadRequest()
	if req == nil {
		p.t.Fatalf("no request: %v", p.Err())
	}
	return req
}

// requests returns the streams of the next n requests.
func (p *peer) requests(n int) (streams []uint32) {
	p.t.Helper()
	for range n {
		streams = append(streams, p.request().Stream)
	}
	return streams
}

// answer answers the next request with its path and its body.
func (p *peer) answer() *httptestutil.FrameRequest {
	p.t.Helper()
	req := p.request()
	body, ok := p.ReadBody(req.Stream)
	if !ok {
		p.t.Fatalf("half a body, %q: %v", body, p.Err())
	}
	p.Respond(req.Stream, 200, req.Path+body)
	return req
}

// hungUp waits until the client has closed the connection in order.
func (p *peer) hungUp() {
	p.t.Helper()
	for p.Next() != nil {
	}
	if p.Err() != io.EOF {
		p.t.Errorf("the connection ended with %v", p.Err())
	}
}

// reset waits until the client has reset the stream with that code.
func (p *peer) reset(stream uint32, want http2.ErrCode) {
	p.t.Helper()
	if code, ok := p.AwaitReset(stream); !ok || code != want {
		p.t.Errorf("stream %d: reset with %v (%v), want %v; %v", stream, code, ok, want, p.Err())
	}
}

// call is a request under way on a goroutine of its own.
type call struct {
	t      testing.TB
	report *peerpool.Report
	done   chan struct{} // closed when the following are set
	resp   *http.Response
	body   string // of the response, as far as it came
	err    error  // of RoundTrip, or of reading the body
	headed bool   // there was a response
}

// start sends a request.
func (h *framed) start(req *http.Request) *call {
	ctx, report := peerpool.WithReport(req.Context())
	*req = *req.WithContext(ctx) // the same request, which a test may cancel
	c := &call{t: h.t, report: report, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		if c.resp, c.err = h.RoundTrip(req); c.err != nil {
			return
		}
		c.headed = true
		var body []byte
		body, c.err = io.ReadAll(c.resp.Body)
		c.resp.Body.Close()
		c.body = string(body)
	}()
	return c
}

// starts sends requests of a kind to the paths, each when those before it are as far as they get.
func (h *framed) starts(method string, paths ...string) []*call {
	h.t.Helper()
	var calls []*call
	for _, path := range paths {
		calls = append(calls, h.start(h.request(method, path, nil)))
		synctest.Wait()
	}
	return calls
}

// request is newRequest for the server of the test.
func (h *framed) request(method, path string, body io.Reader) *http.Request {
	h.t.Helper()
	return newRequest(h.t, method, example+path, body)
}

// fetch is start for a GET.
func (h *framed) fetch(path string) *call {
	h.t.Helper()
	return h.start(h.request(http.MethodGet, path, nil))
}

// ended waits for the end of the call, for a week at most.
func (c *call) ended() {
	c.t.Helper()
	giveUp := time.NewTimer(aWeek)
	defer giveUp.Stop()
	select {
	case <-c.done:
	case <-giveUp.C:
		c.t.Fatal("the request hangs")
	}
}

// gets checks that the call ends with that body.
func (c *call) gets(body string) {
	c.t.Helper()
	if c.ended(); c.err != nil || c.body != body {
		c.t.Errorf("got %q, %v, want %q", c.body, c.err, body)
	}
}

// breaks checks that the call gets a connection and no response, and returns how it failed.
func (c *call) breaks() failure {
	c.t.Helper()
	c.ended()
	if c.err == nil || c.headed {
		c.t.Fatalf("got %q, %T %v, want no response", c.body, c.err, c.err)
	}
	last := lastOf(c.t, c.report, c.err)
	if last.Protocol == "" {
		c.t.Errorf("want an exchange that fails: %v", last.Attempt)
	}
	return last
}

// pending checks that nothing has come of the call so far.
func (c *call) pending() {
	c.t.Helper()
	synctest.Wait()
	select {
	case <-c.done:
		c.t.Errorf("ended with %q, %v, want it to go on", c.body, c.err)
	default:
	}
}

// works checks that the connection still serves requests.
func (h *framed) works(p *peer) {
	h.t.Helper()
	c := h.fetch("works")
	p.answer()
	c.gets("/works")
}

// cancelable is a GET whose context can be ended with a cause.
func (h *framed) cancelable(path string) (*http.Request, context.CancelCauseFunc) {
	h.t.Helper()
	ctx, cancel := context.WithCancelCause(h.t.Context())
	h.t.Cleanup(func() { cancel(nil) })
	return h.request(http.MethodGet, path, nil).WithContext(ctx), cancel
}

// pipedBody is a request body that the test writes to, and that is closed as a pipe is: whoever reads it wakes up.
type pipedBody struct {
	*trackedBody
	r *io.PipeReader
}

func pipeBody() (*pipedBody, *io.PipeWriter) {
	r, w := io.Pipe()
	return &pipedBody{trackBody(r), r}, w
}

func (b *pipedBody) Close() error {
	b.r.Close()
	return b.trackedBody.Close()
}
