package peerpool

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/nettest"
)

// held returns what blocks until it is let go, and says when it is there.
func held() (hold func(), there <-chan struct{}, letGo func()) {
	arrived, proceed := make(chan struct{}, 1), make(chan struct{})
	var once atomic.Bool
	return func() {
		if once.CompareAndSwap(false, true) {
			arrived <- struct{}{}
			<-proceed
		}
	}, arrived, func() { close(proceed) }
}

// stages are the places on a request's way at which Shutdown may find it. begin returns a Transport, and a URL to which
// a request calls hold on its way.
var stages = []struct {
	name  string
	begin func(t *testing.T, hold func()) (*Transport, string)
}{
	{"resolving", func(t *testing.T, hold func()) (*Transport, string) {
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
		return &Transport{Resolver: resolverFunc(func(context.Context, string, string) ([]netip.Addr, error) {
			hold()
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		})}, peerURL(t, o, "a.test")
	}},
	{"dialing", func(t *testing.T, hold func()) (*Transport, string) {
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
		return &Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			hold()
			return new(net.Dialer).DialContext(ctx, network, addr)
		}}, o.URL()
	}},
	{"dialing for the second attempt", func(t *testing.T, hold func()) (*Transport, string) {
		w := httptestutil.NewWire(t, func(c *httptestutil.WireConn) {
			c.ReadRequest()
			c.Write(httptestutil.Response("hi"))
			if c.ReadRequest(); c.Number() > 1 {
				c.Write(httptestutil.Response("hi"))
			}
		})
		var dials atomic.Int64
		tr := &Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if dials.Add(1) == 2 {
				hold()
			}
			return new(net.Dialer).DialContext(ctx, network, addr)
		}}
		if err := peerTry(tr, peerRequest(t, w.URL(), nil)); err != nil {
			t.Fatal(err)
		}
		return tr, w.URL()
	}},
	{"waiting for the answer", func(t *testing.T, hold func()) (*Transport, string) {
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Handler: http.HandlerFunc(
			func(w http.ResponseWriter, r *http.Request) {
				hold()
				httptestutil.Echo(w, r)
			})})
		return &Transport{}, o.URL()
	}},
}

func TestARequestThatShutdownFindsInsideRoundTripIsServed(t *testing.T) {
	for _, stage := range stages {
		t.Run(stage.name, func(t *testing.T) {
			hold, there, proceed := held()
			tr, target := stage.begin(t, hold)
			got := trySend(tr, peerRequest(t, target, nil))
			peerReceive(t, there, "the request is "+stage.name)
			down := make(chan error, 1)
			go func() { down <- tr.Shutdown(t.Context()) }()
			nettest.Eventually(t, "new requests are refused", func() bool {
				return errors.Is(peerTry(&refusedOnly{tr}, peerRequest(t, target, nil)), ErrClosed)
			})
			proceed()
			if err := peerReceive(t, got, "the request returns"); err != nil {
				t.Errorf("the request that was inside got %v", err)
			}
			if err := peerReceive(t, down, "Shutdown returns"); err != nil {
				t.Errorf("Shutdown returned %v", err)
			}
			if s := tr.Stats(); s.Active+s.Idle+s.Dialing+s.Waiting != 0 {
				t.Errorf("the statistics are %+v", s)
			}
		})
	}
}

// refusedOnly sends nothing before the door of its Transport is shut: the request would wait like the first one.
type refusedOnly struct{ *Transport }

func (r *refusedOnly) RoundTrip(req *http.Request) (*http.Response, error) {
	if !r.use().inflight.IsShut() {
		return nil, errors.New("not yet")
	}
	return r.Transport.RoundTrip(req)
}

// queued sends n requests to a server that serves one at a time, over a Transport that has one connection at a time.
func queued(t *testing.T, n int) (tr *Transport, proceed chan struct{}, got []<-chan error) {
	o, proceed := slowOrigin(t)
	tr = peerTransport(t, &Transport{MaxConnsPerHost: 1})
	for range n {
		got = append(got, trySend(tr, peerRequest(t, o.URL()+"/slow", nil)))
	}
	nettest.Eventually(t, "all but one wait", func() bool { return tr.Stats().Waiting == n-1 })
	o.WaitRequests(1)
	return tr, proceed, got
}

func TestRequestsThatWaitForAConnectionWhenShutdownIsCalledAreServed(t *testing.T) {
	tr, proceed, got := queued(t, 3)
	down := make(chan error, 1)
	go func() { down <- tr.Shutdown(t.Context()) }()
	for range got {
		proceed <- struct{}{}
	}
	for i, g := range got {
		if err := peerReceive(t, g, "a request returns"); err != nil {
			t.Errorf("request %d got %v", i, err)
		}
	}
	if err := peerReceive(t, down, "Shutdown returns"); err != nil {
		t.Errorf("Shutdown returned %v", err)
	}
}

func TestRequestsThatStillWaitWhenTheContextOfShutdownEndsGetErrClosed(t *testing.T) {
	tr, proceed, got := queued(t, 3)
	ctx, cancel := context.WithCancelCause(t.Context())
	down := make(chan error, 1)
	go func() { down <- tr.Shutdown(ctx) }()
	nettest.Eventually(t, "Shutdown has begun", tr.core.inflight.IsShut)
	cause := errors.New("not that long")
	cancel(cause)
	if err := peerReceive(t, down, "Shutdown returns"); !errors.Is(err, cause) {
		t.Errorf("Shutdown returned %v, want the cause of its context", err)
	}
	proceed <- struct{}{}
	served := 0
	for _, g := range got {
		switch err := peerReceive(t, g, "a request returns"); {
		case err == nil:
			served++
		case !errors.Is(err, ErrClosed):
			t.Errorf("a request got %v, want ErrClosed", err)
		}
	}
	if served != 1 {
		t.Errorf("%d requests were served, want the one that had a connection", served)
	}
}
