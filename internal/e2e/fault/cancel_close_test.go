package fault_test

//lint:file-ignore SA1019 programs still use what is deprecated, so it is tested

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// canceledText is what net/http says of a request that was canceled without a context, whether it waits for a connection
// or has one.
const canceledText = "net/http: request canceled"

// stuckConn is a connection whose Close blocks until it is let go.
type stuckConn struct {
	net.Conn
	closing chan struct{} // has a value when Close has been called
	letGo   chan struct{}
}

func (c *stuckConn) Close() error {
	select {
	case c.closing <- struct{}{}:
	default:
	}
	<-c.letGo
	return c.Conn.Close()
}

// async sends a request on a goroutine of its own, and tells its error.
func async(s *testkit.Subject, req *http.Request) <-chan error {
	ended := make(chan error, 1)
	go func() {
		_, err := s.Try(req)
		ended <- err
	}()
	return ended
}

func TestACanceledConnectionWhoseCloseBlocksHoldsUpNobodyElse(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Handler: http.HandlerFunc(
		func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/hang" {
				<-r.Context().Done()
			}
		})})
	stuck := &stuckConn{closing: make(chan struct{}, 1), letGo: make(chan struct{})}
	var dials atomic.Int32
	s := testkit.Observe(t, &peerpool.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := o.Dial(ctx, network, addr)
		if err == nil && dials.Add(1) == 1 {
			stuck.Conn = nc
			nc = stuck
		}
		return nc, err
	}})
	hanging := testkit.NewRequest(t, "GET", o.URL()+"/hang", nil)
	ended := async(s, hanging)
	o.WaitRequests(1)
	canceled := make(chan struct{})
	go func() { s.CancelRequest(hanging); close(canceled) }()
	<-stuck.closing

	err := <-async(s, testkit.NewRequest(t, "GET", o.URL(), nil))
	close(stuck.letGo)
	if err != nil {
		t.Errorf("the other request: %v", err)
	}
	if err := <-ended; err == nil || err.Error() != canceledText {
		t.Errorf("the canceled request: %v, want %q", err, canceledText)
	}
	<-canceled
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
	var s *testkit.Subject
	req := testkit.NewRequest(t, "GET", w.URL(), nil)
	s = testkit.Observe(t, &peerpool.Transport{Observer: &peerpool.Observer{
		RequestRetry: func(context.Context, peerpool.RequestRetry) { s.CancelRequest(req) },
	}})
	s.Get(w.URL())
	if _, err := s.Try(req); err == nil || err.Error() != canceledText && err.Error() != canceledText+" while waiting for connection" {
		t.Errorf("got %v, want that the request was canceled", err)
	}
	if n := w.Requests(); n != 2 {
		t.Errorf("the server has seen %d requests, want 2", n)
	}
}
