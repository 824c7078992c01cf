package testkit

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/h2server"
	"golang.org/x/net/http2"
)

// ChangesMind cancels a call, which must then end at once.
func (c *Call) ChangesMind(cancel context.CancelCauseFunc) {
	c.T.Helper()
	c.Pending()
	start := time.Now()
	cancel(ErrChangedMind)
	// As with net/http, the error is the cause only if the request has no connection yet.
	if c.Ended(); c.Err != context.Canceled && c.Err != ErrChangedMind {
		c.T.Errorf("%T %v, want that the context was canceled", c.Err, c.Err)
	}
	if took := time.Since(start); took != 0 {
		c.T.Errorf("it took %v", took)
	}
}

const example = "http://example.test/"

// Framed is a Transport that speaks HTTP/2 in a bubble, to a server that the test plays frame by frame. The test fails if a
// goroutine, a connection or a lease is left when it ends (see Observe).
type Framed struct {
	*Subject
	Ln    *httptestutil.Listener
	Peers []*Peer
}

// aWeek is longer than anything takes, by the clock of a bubble.
const aWeek = 7 * 24 * time.Hour

// FrameTest runs a test in a bubble of its own.
func FrameTest(t *testing.T, tr *peerpool.Transport, test func(h *Framed)) {
	t.Helper()
	FrameTestOver(t, 0, tr, test)
}

// FrameTestOver is FrameTest with connections that hold buffer bytes in each direction, or any number if buffer is 0.
func FrameTestOver(t *testing.T, buffer int, tr *peerpool.Transport, test func(h *Framed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ln := httptestutil.NewListener(buffer)
		t.Cleanup(func() { ln.Close() })
		tr.DialContext = ln.Dial
		if tr.Protocols == nil {
			tr.Protocols = new(http.Protocols)
			tr.Protocols.SetUnencryptedHTTP2(true)
		}
		h := &Framed{Subject: Observe(t, tr), Ln: ln}
		t.Cleanup(func() {
			for _, p := range h.Peers {
				p.Close()
			}
		})
		test(h)
	})
}

// Peer is the server's end of a connection. Its methods fail the test if something goes wrong.
type Peer struct {
	*h2server.FrameConn
	T  testing.TB
	Nc net.Conn
}

// Accept returns the next connection, which the client must have dialed. The server has not sent anything yet.
func (h *Framed) Accept() *Peer {
	h.T.Helper()
	synctest.Wait()
	if n := len(h.Peers); h.Ln.Dials() <= n {
		h.T.Fatalf("%d connections have been dialed, want one more; %+v", n, h.Stats())
	}
	nc, err := h.Ln.Accept()
	if err != nil {
		h.T.Fatal(err)
	}
	// Without a deadline, a test that waits in vain would end the whole process.
	if err := nc.SetDeadline(time.Now().Add(aWeek)); err != nil {
		h.T.Fatal(err)
	}
	p := &Peer{h2server.Frames(nc), h.T, nc}
	h.Peers = append(h.Peers, p)
	return p
}

// Welcome accepts a connection and allows 100 streams on it.
func (h *Framed) Welcome() *Peer {
	h.T.Helper()
	p := h.Accept()
	p.MaxStreams(100)
	return p
}

// Dials checks how many connections have been dialed so far, when every goroutine of the bubble waits.
func (h *Framed) Dials(want int) {
	h.T.Helper()
	synctest.Wait()
	if n := h.Ln.Dials(); n != want {
		h.T.Errorf("%d connections dialed, want %d", n, want)
	}
}

// Request returns the next request on the connection.
func (p *Peer) Request() *h2server.FrameRequest {
	p.T.Helper()
	req := p.ReadRequest()
	if req == nil {
		p.T.Fatalf("no request: %v", p.Err())
	}
	return req
}

// Requests returns the streams of the next n requests.
func (p *Peer) Requests(n int) (streams []uint32) {
	p.T.Helper()
	for range n {
		streams = append(streams, p.Request().Stream)
	}
	return streams
}

// Answer answers the next request with its path and its body.
func (p *Peer) Answer() *h2server.FrameRequest {
	p.T.Helper()
	req := p.Request()
	body, ok := p.ReadBody(req.Stream)
	if !ok {
		p.T.Fatalf("half a body, %q: %v", body, p.Err())
	}
	p.Respond(req.Stream, 200, req.Path+body)
	return req
}

// HungUp waits until the client has closed the connection in an orderly way.
func (p *Peer) HungUp() {
	p.T.Helper()
	for p.Next() != nil {
	}
	if p.Err() != io.EOF {
		p.T.Errorf("the connection ended with %v", p.Err())
	}
}

// ResetWith waits until the client has reset the stream with the given code.
func (p *Peer) ResetWith(stream uint32, want http2.ErrCode) {
	p.T.Helper()
	if code, ok := p.AwaitReset(stream); !ok || code != want {
		p.T.Errorf("stream %d: reset with %v (%v), want %v; %v", stream, code, ok, want, p.Err())
	}
}

// Call is a request that runs on a goroutine of its own.
type Call struct {
	T      testing.TB
	report *peerpool.Report
	Done   chan struct{} // closed when the fields below are set
	Resp   *http.Response
	Body   string // body of the response, as far as it was received
	Err    error  // error of RoundTrip, or of reading the body
	Headed bool   // there was a response
}

// Start sends a request on a goroutine of its own.
func (h *Framed) Start(req *http.Request) *Call {
	ctx, report := peerpool.WithReport(req.Context())
	*req = *req.WithContext(ctx) // req stays the same request, so that a test can cancel it
	c := &Call{T: h.T, report: report, Done: make(chan struct{})}
	go func() {
		defer close(c.Done)
		if c.Resp, c.Err = h.RoundTrip(req); c.Err != nil {
			return
		}
		c.Headed = true
		var body []byte
		body, c.Err = io.ReadAll(c.Resp.Body)
		c.Resp.Body.Close()
		c.Body = string(body)
	}()
	return c
}

// Starts sends a request with the given method to each path. It sends one when the requests before it have come as far as
// they can.
func (h *Framed) Starts(method string, paths ...string) []*Call {
	h.T.Helper()
	var calls []*Call
	for _, path := range paths {
		calls = append(calls, h.Start(h.Request(method, path, nil)))
		synctest.Wait()
	}
	return calls
}

// Serving sends a request with the given method to each path, as Starts does. It returns the calls, and the server's end of the
// new connection, which has received the requests.
func (h *Framed) Serving(method string, paths ...string) ([]*Call, *Peer) {
	h.T.Helper()
	calls := h.Starts(method, paths...)
	p := h.Welcome()
	p.Requests(len(paths))
	return calls, p
}

// Request returns a request to the server of the test.
func (h *Framed) Request(method, path string, body io.Reader) *http.Request {
	h.T.Helper()
	return NewRequest(h.T, method, example+path, body)
}

// Fetch sends a GET on a goroutine of its own.
func (h *Framed) Fetch(path string) *Call {
	h.T.Helper()
	return h.Start(h.Request(http.MethodGet, path, nil))
}

// Open sends a GET on p, whose server answers with a head. It returns the response, whose body is unread, and its stream.
func (h *Framed) Open(p *Peer, path string) (*http.Response, uint32) {
	h.T.Helper()
	got := make(chan *http.Response, 1)
	go func() {
		resp, err := h.RoundTrip(h.Request(http.MethodGet, path, nil))
		if err != nil {
			h.T.Error(err)
		}
		got <- resp
	}()
	stream := p.Request().Stream
	p.Head(stream, 200, false)
	resp := <-got
	if resp == nil {
		h.T.FailNow()
	}
	return resp, stream
}

// Ended waits until the call has ended, for a week at most.
func (c *Call) Ended() {
	c.T.Helper()
	giveUp := time.NewTimer(aWeek)
	defer giveUp.Stop()
	select {
	case <-c.Done:
	case <-giveUp.C:
		c.T.Fatal("the request hangs")
	}
}

// Over reports whether the call has ended, when every goroutine of the bubble waits.
func (c *Call) Over() bool {
	synctest.Wait()
	select {
	case <-c.Done:
		return true
	default:
		return false
	}
}

// Fails checks that the call ends with an error whose text contains text. The call may have a response before that.
func (c *Call) Fails(text string) {
	c.T.Helper()
	if c.Ended(); c.Err == nil || !strings.Contains(c.Err.Error(), text) {
		c.T.Errorf("got %.100q, %v, want an error with %q", c.Body, c.Err, text)
	}
}

// Gets checks that the call ends with a response that has the given body.
func (c *Call) Gets(body string) {
	c.T.Helper()
	if c.Ended(); c.Err != nil || c.Body != body {
		c.T.Errorf("got %.100q, %v, want %q", c.Body, c.Err, body)
	}
}

// Breaks checks that the call gets a connection and no response. It returns how the call failed.
func (c *Call) Breaks() failure {
	c.T.Helper()
	c.Ended()
	if c.Err == nil || c.Headed {
		c.T.Fatalf("got %q, %T %v, want no response", c.Body, c.Err, c.Err)
	}
	last := lastOf(c.T, c.report, c.Err)
	if last.Protocol == "" {
		c.T.Errorf("want an exchange that fails: %v", last.Attempt)
	}
	return last
}

// Pending checks that the call has had no result so far.
func (c *Call) Pending() {
	c.T.Helper()
	if c.Over() {
		c.T.Errorf("ended with %q, %v, want it to go on", c.Body, c.Err)
	}
}

// Works checks that the connection still serves requests.
func (h *Framed) Works(p *Peer) {
	h.T.Helper()
	c := h.Fetch("works")
	p.Answer()
	c.Gets("/works")
}

// Cancelable returns a GET and a function that ends its context with a cause.
func (h *Framed) Cancelable(path string) (*http.Request, context.CancelCauseFunc) {
	h.T.Helper()
	ctx, cancel := context.WithCancelCause(h.T.Context())
	h.T.Cleanup(func() { cancel(nil) })
	return h.Request(http.MethodGet, path, nil).WithContext(ctx), cancel
}

// Used returns the server's end of a connection that has served one request.
func (h *Framed) Used() *Peer {
	h.T.Helper()
	call := h.Fetch("first")
	p := h.Welcome()
	p.Answer()
	call.Gets("/first")
	return p
}

const Slowly = time.Millisecond

// DialSlowly makes dials take some time, as real dials do, so that requests that fail together ask for connections together.
func (h *Framed) DialSlowly() {
	h.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		time.Sleep(Slowly)
		return h.Ln.Dial(ctx, network, addr)
	}
}

// Probe waits until the client asks whether the server is still there, with a PING or with an empty SETTINGS frame.
func (p *Peer) Probe() *h2server.Frame {
	p.T.Helper()
	for f := p.Next(); f != nil; f = p.Next() {
		if f.Type == http2.FramePing || f.Type == http2.FrameSettings && !f.Flags.Has(http2.FlagSettingsAck) {
			return f
		}
	}
	p.T.Fatalf("no probe: %v", p.Err())
	return nil
}

// Suspected returns the server's end of a connection that serves a request. The client has reason to suspect that the
// connection is dead, because another request was canceled before anything arrived. Some time has passed since then.
func (h *Framed) Suspected() (under *Call, stream uint32, p *Peer) {
	h.T.Helper()
	under = h.Starts("POST", "under-way")[0]
	p = h.Welcome()
	stream = p.Request().Stream
	req, cancel := h.Cancelable("canceled")
	canceled := h.Start(req)
	p.Request()
	cancel(ErrChangedMind)
	canceled.Ended()
	synctest.Wait()
	time.Sleep(time.Millisecond)
	return under, stream, p
}
