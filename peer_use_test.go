package peerpool

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/nettest"
)

// groupsSeen notes the groups of the connections that requests got.
func groupsSeen(groups *[]string) *Observer {
	return &Observer{AcquireDone: func(_ context.Context, a AcquireDone) { *groups = append(*groups, a.Identity.Group()) }}
}

func TestThePeerOfAContextWinsOverPeerFor(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	var groups []string
	tr := peerTransport(t, &Transport{
		Observer: groupsSeen(&groups),
		PeerFor: func(*http.Request) (*Peer, error) {
			return NewPeer(PeerOptions{Group: "PeerFor"})
		},
	})
	outer, inner := peerNew(t, PeerOptions{Group: "outer"}), peerNew(t, PeerOptions{Group: "inner"})
	background := t.Context()
	for _, c := range []struct {
		name string
		ctx  context.Context
		want string
	}{
		{"no peer", background, "PeerFor"},
		{"one peer", WithPeer(background, outer), "outer"},
		{"a peer within another", WithPeer(WithPeer(background, outer), inner), "inner"},
		{"a nil peer within another", WithPeer(WithPeer(background, outer), nil), "PeerFor"},
		{"a peer within a nil one", WithPeer(WithPeer(background, nil), inner), "inner"},
	} {
		groups = nil
		peerSend(t, tr, peerRequest(t, o.URL(), nil).WithContext(c.ctx))
		if len(groups) != 1 || groups[0] != c.want {
			t.Errorf("%s: the request got connections of %q, want one of %q", c.name, groups, c.want)
		}
	}
}

func TestNoPeerMeansTheTransportsOwnSettings(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	asked := 0
	tr := peerTransport(t, &Transport{PeerFor: func(*http.Request) (*Peer, error) { asked++; return nil, nil }})
	for want := 1; want <= 2; want++ {
		if seen := peerGet(t, tr, o.URL(), nil); seen.Seq != want || asked != want {
			t.Errorf("request %d is number %d on its connection, and PeerFor was asked %d times", want, seen.Seq, asked)
		}
	}
	peerGet(t, tr, o.URL(), peerNew(t, PeerOptions{}))
	if asked != 2 {
		t.Error("PeerFor was asked about a request whose context names a peer")
	}
	if ids := peerKeys(tr); len(ids) != 1 {
		t.Errorf("the requests have the identities %v, want one", ids)
	}
}

// closeCounter is a request body that counts how often it is read and closed.
type closeCounter struct {
	*strings.Reader
	closed int
}

func (b *closeCounter) Close() error { b.closed++; return nil }

func TestAnErrorOfPeerForFailsTheRequestAndClosesItsBody(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	cause := errors.New("no such tenant")
	tr := peerTransport(t, &Transport{PeerFor: func(*http.Request) (*Peer, error) { return nil, cause }})
	body := &closeCounter{Reader: strings.NewReader("body")}
	req := peerRequest(t, o.URL(), nil)
	req.Method, req.Body, req.ContentLength = http.MethodPost, body, 4
	if err := peerTry(tr, req); !errors.Is(err, cause) {
		t.Errorf("got %v, want the error of PeerFor", err)
	}
	if body.closed != 1 || body.Len() != 4 {
		t.Errorf("the body was closed %d times and has %d bytes left, want 1 and 4", body.closed, body.Len())
	}
	if n := o.Conns(); n != 0 {
		t.Errorf("the origin has %d connections", n)
	}
}

// neverIdle is an observer that fails the test when a connection idles while something happens.
func neverIdle(t *testing.T, tr *Transport) *Observer {
	check := func(when string) {
		if s := tr.Stats(); s.Idle != 0 {
			t.Errorf("%d connections idle when a request is %s", s.Idle, when)
		}
	}
	return &Observer{
		AcquireDone: func(context.Context, AcquireDone) { check("acquired") },
		DialDone:    func(context.Context, DialDone) { check("dialed") },
		AttemptDone: func(context.Context, AttemptDone) { check("done") },
		ConnClosed:  func(ConnClosed) { check("closed") },
	}
}

func TestAPeerWithoutIdleTimeIsNeverPooled(t *testing.T) {
	const requests = 40
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	tr := peerTransport(t, &Transport{})
	tr.Observer = neverIdle(t, tr)
	zero := time.Duration(0)
	peer := peerNew(t, PeerOptions{IdleTimeout: &zero})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range requests / 4 {
				if err := peerTry(tr, peerRequest(t, o.URL(), peer)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, seen := range o.Seen() {
		if seen.Seq != 1 {
			t.Errorf("request %d was sent on connection %d", seen.Seq, seen.Conn)
		}
	}
	if n := o.Conns(); n != requests {
		t.Errorf("%d requests took %d connections", requests, n)
	}
	if s := tr.Stats(); s.Closes["unpooled"] != requests || s.Misses["unpooled"] != requests || s.Idle+s.Active != 0 {
		t.Errorf("the statistics are %+v", s)
	}
}

func TestAPeerWithoutIdleTimeLeavesThePoolOfItsEqualsAlone(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	tr := peerTransport(t, &Transport{})
	zero := time.Duration(0)
	unpooled := peerNew(t, PeerOptions{IdleTimeout: &zero})
	kept := peerGet(t, tr, o.URL(), nil)
	if seen := peerGet(t, tr, o.URL(), unpooled); seen.Conn == kept.Conn {
		t.Error("the request took a connection from the pool")
	}
	if seen := peerGet(t, tr, o.URL(), nil); seen.Conn != kept.Conn {
		t.Error("the connection that idled is gone")
	}
}

func TestAPeersCapOnReuseReplacesTheTransports(t *testing.T) {
	for _, c := range []struct{ transport, peer, want int }{
		{0, 2, 3}, {1, 2, 3}, {5, 2, 3}, {2, 0, 3},
	} {
		t.Run(fmt.Sprintf("transport %d, peer %d", c.transport, c.peer), func(t *testing.T) {
			o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
			tr := peerTransport(t, &Transport{MaxConnReuse: c.transport})
			peer := peerNew(t, PeerOptions{MaxConnReuse: c.peer})
			for i := range 2 * c.want {
				seen := peerGet(t, tr, o.URL(), peer)
				if seen.Conn != 1+i/c.want || seen.Seq != 1+i%c.want {
					t.Errorf("request %d is number %d on connection %d", i+1, seen.Seq, seen.Conn)
				}
			}
		})
	}
}

func TestAPeersCapOnConnectionsReplacesTheTransports(t *testing.T) {
	for _, c := range []struct{ transport, peer, want int }{
		{1, 2, 2}, {3, 2, 2}, {2, 0, 2},
	} {
		t.Run(fmt.Sprintf("transport %d, peer %d", c.transport, c.peer), func(t *testing.T) {
			proceed, held := make(chan struct{}), make(chan struct{}, 10)
			o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Handler: http.HandlerFunc(
				func(w http.ResponseWriter, r *http.Request) {
					held <- struct{}{}
					<-proceed
					httptestutil.Echo(w, r)
				})})
			tr := peerTransport(t, &Transport{MaxConnsPerHost: c.transport})
			peer := peerNew(t, PeerOptions{MaxConns: c.peer})
			var wg sync.WaitGroup
			for range 5 {
				wg.Go(func() {
					if err := peerTry(tr, peerRequest(t, o.URL(), peer)); err != nil {
						t.Error(err)
					}
				})
			}
			for range c.want {
				peerReceive(t, held, "a request under way")
			}
			nettest.Eventually(t, "all others wait", func() bool { return tr.Stats().Waiting == 5-c.want })
			if s := tr.Stats(); s.Active != c.want || s.Dialing != 0 {
				t.Errorf("%d connections are in use, and %d are dialed, want %d", s.Active, s.Dialing, c.want)
			}
			close(proceed)
			wg.Wait()
			if n := o.Conns(); n != c.want {
				t.Errorf("the origin has seen %d connections, want %d", n, c.want)
			}
		})
	}
}

// The test runs in simulated time.
func TestAPeersTimeLimitsReplaceTheTransports(t *testing.T) {
	minute := time.Minute
	for _, c := range []struct {
		name   string
		tr     *Transport
		opts   PeerOptions
		pause  time.Duration
		reason CloseReason // "": kept
	}{
		{"idle for less", &Transport{IdleConnTimeout: time.Second}, PeerOptions{IdleTimeout: &minute}, 59 * time.Second, ""},
		{"idle for longer", &Transport{IdleConnTimeout: time.Hour}, PeerOptions{IdleTimeout: &minute}, 61 * time.Second, "idle_timeout"},
		{"idle for longer, of the Transport", &Transport{IdleConnTimeout: time.Minute}, PeerOptions{}, 61 * time.Second, "idle_timeout"},
		{"younger", &Transport{MaxConnLifetime: time.Second}, PeerOptions{MaxConnLifetime: time.Minute}, 53 * time.Second, ""},
		{"older", &Transport{MaxConnLifetime: time.Hour}, PeerOptions{MaxConnLifetime: time.Minute}, 67 * time.Second, "max_lifetime"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ln := httptestutil.NewListener(0)
				o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Listener: ln})
				c.tr.DialContext = ln.Dial
				tr, peer := peerTransport(t, c.tr), peerNew(t, c.opts)
				peerGet(t, tr, o.URL(), peer)
				time.Sleep(c.pause)
				synctest.Wait()
				seen := peerGet(t, tr, o.URL(), peer)
				if kept := seen.Conn == 1; kept != (c.reason == "") {
					t.Errorf("after %v the request went out on connection %d", c.pause, seen.Conn)
				}
				if c.reason != "" && tr.Stats().Closes[c.reason] != 1 {
					t.Errorf("connections were closed for %v, want one for %s", tr.Stats().Closes, c.reason)
				}
			})
		})
	}
}
