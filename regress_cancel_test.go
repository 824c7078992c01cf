package peerpool

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// regressAsync sends a request on a goroutine of its own, and tells its error.
func regressAsync(rt http.RoundTripper, req *http.Request) <-chan error {
	ended := make(chan error, 1)
	go func() { ended <- peerTry(rt, req) }()
	return ended
}

// TestTheOldWaysToCancelEndARequestThatIsResolving: the resolver does not, as it never returns.
func TestTheOldWaysToCancelEndARequestThatIsResolving(t *testing.T) {
	for how, arm := range oldCancels {
		t.Run(how, func(t *testing.T) {
			names := &httptestutil.Resolver{}
			t.Cleanup(names.Hold("a.test"))
			tr := peerTransport(t, &Transport{Resolver: names})
			req := peerRequest(t, "http://a.test/", nil)
			cancel := arm(tr, req)
			ended := regressAsync(tr, req)
			peerEventually(t, "the name is looked up", func() bool { return names.Lookups("a.test") == 1 })
			cancel()
			if err := peerReceive(t, ended, "the request has ended"); err != errWaitCanceled {
				t.Errorf("got %v, want %v", err, errWaitCanceled)
			}
			wantNoneListed(t, tr)
		})
	}
}

// regressStuck is a connection whose Close blocks until it is let go.
type regressStuck struct {
	net.Conn
	closing chan struct{} // has a value when Close has been called
	letGo   chan struct{}
}

func (c *regressStuck) Close() error {
	select {
	case c.closing <- struct{}{}:
	default:
	}
	<-c.letGo
	return c.Conn.Close()
}

func TestACanceledConnectionWhoseCloseBlocksHoldsUpNobodyElse(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Handler: http.HandlerFunc(
		func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/hang" {
				<-r.Context().Done()
			}
		})})
	stuck := &regressStuck{closing: make(chan struct{}, 1), letGo: make(chan struct{})}
	var dials atomic.Int32
	tr := peerTransport(t, &Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := o.Dial(ctx, network, addr)
		if err == nil && dials.Add(1) == 1 {
			stuck.Conn = nc
			nc = stuck
		}
		return nc, err
	}})
	hanging := peerRequest(t, o.URL()+"/hang", nil)
	ended := regressAsync(tr, hanging)
	o.WaitRequests(1)
	canceled := make(chan struct{})
	go func() { tr.CancelRequest(hanging); close(canceled) }()
	peerReceive(t, stuck.closing, "the connection is being closed")

	other := regressAsync(tr, peerRequest(t, o.URL(), nil))
	err := peerReceive(t, other, "another request has ended")
	close(stuck.letGo)
	if err != nil {
		t.Errorf("the other request: %v", err)
	}
	if err := peerReceive(t, ended, "the canceled request has ended"); err != errCanceled {
		t.Errorf("the canceled request: %v, want %v", err, errCanceled)
	}
	peerReceive(t, canceled, "CancelRequest has returned")
}

func TestARequestThatIsCanceledBetweenTwoAttemptsIsNotSentAgain(t *testing.T) {
	w := httptestutil.NewWire(t, httptestutil.PerConn(
		func(c *httptestutil.WireConn) {
			c.ReadRequest()
			c.Write(httptestutil.Response("1"))
			c.ReadRequest() // and close
		},
		httptestutil.Replies(httptestutil.Response("2")),
	))
	var tr *Transport
	req := peerRequest(t, w.URL(), nil)
	tr = peerTransport(t, &Transport{Observer: &Observer{
		RequestRetry: func(context.Context, RequestRetry) { tr.CancelRequest(req) },
	}})
	if err := peerTry(tr, peerRequest(t, w.URL(), nil)); err != nil {
		t.Fatal(err)
	}
	if err := peerTry(tr, req); !errors.Is(err, errCanceled) && !errors.Is(err, errWaitCanceled) {
		t.Errorf("got %v, want that the request was canceled", err)
	}
	if n := w.Requests(); n != 2 {
		t.Errorf("the server has seen %d requests, want 2", n)
	}
}

// regressSkip is an alternative protocol that begins to read and then leaves every request to the Transport.
type regressSkip struct{}

func (regressSkip) RoundTrip(req *http.Request) (*http.Response, error) {
	_, _ = req.Body.Read(make([]byte, 1))
	return nil, http.ErrSkipAltProtocol
}

// regressBody is a request's body that knows how it was used.
type regressBody struct {
	io.Reader
	closed     atomic.Bool
	readBehind atomic.Bool // read after it was closed
}

func (b *regressBody) Read(p []byte) (int, error) {
	if b.closed.Load() {
		b.readBehind.Store(true)
	}
	return b.Reader.Read(p)
}

func (b *regressBody) Close() error {
	b.closed.Store(true)
	return nil
}

// regressPost returns a POST with a body of "body" and no GetBody.
func regressPost(t *testing.T, target string) (*http.Request, *regressBody) {
	t.Helper()
	body := &regressBody{Reader: bytes.NewBufferString("body")}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, body)
	if err != nil {
		t.Fatal(err)
	}
	return req, body
}

func TestTheBodyThatASkippedProtocolHasReadIsClosed(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	tr := peerTransport(t, &Transport{})
	tr.RegisterProtocol("http", regressSkip{})
	req, first := regressPost(t, o.URL())
	again := &regressBody{Reader: bytes.NewBufferString("body")}
	req.GetBody = func() (io.ReadCloser, error) { return again, nil }
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	httptestutil.ReadSeen(t, resp)
	if resp.Request != req {
		t.Error("the response is not to the request that was sent, but to a copy")
	}
	if !first.closed.Load() {
		t.Error("the body that was replaced is still open")
	}
	peerEventually(t, "the body that was sent is closed", again.closed.Load)
}

func TestCancelRequestFindsARequestThatAnotherProtocolSkipped(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Handler: http.HandlerFunc(
		func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // or the server would not see the client go
			<-r.Context().Done()
		})})
	tr := peerTransport(t, &Transport{})
	tr.RegisterProtocol("http", regressSkip{})
	req, _ := regressPost(t, o.URL())
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewBufferString("body")), nil }
	ended := regressAsync(tr, req)
	o.WaitRequests(1)
	tr.CancelRequest(req)
	if err := peerReceive(t, ended, "the request has ended"); err != errCanceled {
		t.Errorf("got %v, want %v", err, errCanceled)
	}
}
