package peerpool

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/nettest"
)

// The server never sends a byte.
func TestAHandshakeThatTakesTooLongReadsAsWithNetHTTP(t *testing.T) {
	proxy := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{}) // closed last: it waits for its target
	silent := httptestutil.NewWire(t, httptestutil.ReadNothing)
	dial := new(net.Dialer).DialContext
	undone := func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return tls.Client(nc, &tls.Config{InsecureSkipVerify: true}), nil
	}
	for name, c := range map[string]struct {
		set    func(*http.Transport)
		op     string
		unlike bool // net/http waits for ever
	}{
		"direct":       {func(*http.Transport) {}, "tls", false},
		"in a tunnel":  {func(tr *http.Transport) { tr.Proxy = peerProxy(proxy.URL()) }, "tls", false},
		"of the proxy": {func(tr *http.Transport) { tr.Proxy = peerProxy(&url.URL{Scheme: "https", Host: silent.Addr()}) }, "proxy", false},
		"of a dialer":  {func(tr *http.Transport) { tr.DialTLSContext = undone }, "connect", true},
	} {
		t.Run(name, func(t *testing.T) {
			theirs := &http.Transport{TLSHandshakeTimeout: time.Millisecond}
			c.set(theirs)
			tr := peerTransport(t, FromHTTP(theirs))
			err := peerFail(t, tr, "https://"+silent.Addr(), nil)
			dial := peerWantHop(t, err, c.op)
			if !c.unlike {
				if want := peerFail(t, theirs, "https://"+silent.Addr(), nil); err.Error() != want.Error() {
					t.Errorf("got %q, net/http says %q", err, want)
				}
			}
			var timeout net.Error
			if dial.ErrorType != "timeout" || !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Errorf("%v is not a timeout", err)
			}
		})
	}
}

func TestAServerWithoutTLSIsToldFromOneWithBadTLS(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	tr := peerTransport(t, &Transport{})
	err := peerFail(t, tr, "https://"+o.Addr(), nil)
	peerWantHop(t, err, "tls")
	if !errors.Is(err, http.ErrSchemeMismatch) || err.Error() != "http: server gave HTTP response to HTTPS client" {
		t.Errorf("got %q", err)
	}
	o.WaitOpenConns(0)

	garbage := httptestutil.NewWire(t, httptestutil.WriteFirst("garbage without end\r\n", httptestutil.ReadNothing))
	err = peerFail(t, tr, "https://"+garbage.Addr(), nil)
	peerWantHop(t, err, "tls")
	var record tls.RecordHeaderError
	if errors.Is(err, http.ErrSchemeMismatch) || !errors.As(err, &record) {
		t.Errorf("got %v, want what crypto/tls says", err)
	}
}

func TestAConnectionWhoseHandshakeFailsIsClosed(t *testing.T) {
	httptestutil.CheckLeaks(t)
	ended := make(chan error, 1)
	ca := httptestutil.NewCA(t)
	w := httptestutil.NewWireWith(t, httptestutil.WireOptions{CA: ca}, func(c *httptestutil.WireConn) {
		_ = c.Conn().(*tls.Conn).Handshake() // fails: the client does not like the certificate
		ended <- c.WaitClosed()
	})
	tr := peerTransport(t, &Transport{TLSClientConfig: &tls.Config{RootCAs: httptestutil.NewCA(t).Pool()}})
	peerWantHop(t, peerFail(t, tr, w.URL(), nil), "tls")
	peerReceive(t, ended, "the connection is closed")
	if s := tr.Stats(); s.Opened != 0 || s.DialFailures != 1 {
		t.Errorf("the statistics are %+v", s)
	}
}

// TestADialerThatReturnsNothingReadsAsWithNetHTTP compares the texts.
func TestADialerThatReturnsNothingReadsAsWithNetHTTP(t *testing.T) {
	withContext := func(context.Context, string, string) (net.Conn, error) { return nil, nil }
	without := func(string, string) (net.Conn, error) { return nil, nil }
	for name, theirs := range map[string]*http.Transport{
		"DialContext":    {DialContext: withContext},
		"Dial":           {Dial: without},
		"DialTLSContext": {DialTLSContext: withContext},
		"DialTLS":        {DialTLS: without},
		"DialContext to a proxy": {
			DialContext: withContext, Proxy: peerProxy(&url.URL{Scheme: "http", Host: "proxy.test"}),
		},
	} {
		tr := peerTransport(t, FromHTTP(theirs))
		err, want := peerFail(t, tr, "https://example.test", nil), peerFail(t, theirs, "https://example.test", nil)
		peerWantHop(t, err, "connect")
		if err.Error() != want.Error() {
			t.Errorf("%s: got %q, net/http says %q", name, err, want)
		}
	}
}

// heldDial is a dial that waits until it is let go.
type heldDial struct {
	ctx   context.Context
	letGo chan struct{}
}

// holdDials returns a DialContext that connects to o, and what is told of each of its dials.
func holdDials(o *httptestutil.Origin) (func(ctx context.Context, network, addr string) (net.Conn, error), <-chan heldDial) {
	held := make(chan heldDial, 10)
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		d := heldDial{ctx, make(chan struct{})}
		held <- d
		<-d.letGo
		return o.Dial(ctx, network, addr)
	}, held
}

// trySend sends a request on a goroutine of its own.
func trySend(tr *Transport, req *http.Request) <-chan error {
	got := make(chan error, 1)
	go func() { got <- peerTry(tr, req) }()
	return got
}

func TestTheDialOfACanceledRequestServesAnotherThatWaits(t *testing.T) {
	o := secureOrigin(t)
	cfg := o.ClientTLS()
	cfg.ServerName = "example.test"
	dial, held := holdDials(o)
	tr := peerTransport(t, &Transport{DialContext: dial, TLSClientConfig: cfg})

	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), tenantKey{}, tenant{name: "a"}))
	first := trySend(tr, peerRequest(t, "https://a.test", nil).WithContext(ctx))
	firstDial := peerReceive(t, held, "a dial")
	second := trySend(tr, peerRequest(t, "https://a.test", nil))
	secondDial := peerReceive(t, held, "a dial for the second")
	cancel()
	if err := peerReceive(t, first, "the first request returns"); !errors.Is(err, context.Canceled) {
		t.Errorf("the canceled request got %v", err)
	}
	if err := firstDial.ctx.Err(); err != nil || tenantOf(firstDial.ctx).name != "a" {
		t.Errorf("the context of the dial has ended with %v, and belongs to %q", err, tenantOf(firstDial.ctx).name)
	}

	close(firstDial.letGo)
	if err := peerReceive(t, second, "the second request returns"); err != nil {
		t.Errorf("the second request got %v", err)
	}
	if n := o.Conns(); n != 1 {
		t.Errorf("the origin has seen %d connections, want that of the first dial", n)
	}
	close(secondDial.letGo)
	nettest.Eventually(t, "the other connection idles", func() bool { return tr.Stats().Idle == 2 })
}

func TestTheDialOfACanceledRequestServesOneThatComesLater(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	dial, held := holdDials(o)
	tr := peerTransport(t, &Transport{DialContext: dial})
	ctx, cancel := context.WithCancel(t.Context())
	first := trySend(tr, peerRequest(t, "http://a.test", nil).WithContext(ctx))
	firstDial := peerReceive(t, held, "a dial")
	cancel()
	peerReceive(t, first, "the first request returns")
	close(firstDial.letGo)
	nettest.Eventually(t, "its connection idles", func() bool { return tr.Stats().Idle == 1 })
	if seen := peerGet(t, tr, "http://a.test", nil); seen.Conn != 1 || seen.Seq != 1 {
		t.Errorf("the request is number %d on connection %d, want number 1 on connection 1", seen.Seq, seen.Conn)
	}
	if n := tr.Stats().Dials; n != 1 {
		t.Errorf("%d dials for two requests, of which one was canceled", n)
	}
}

func TestADialEndsWithItsOwnTimeAndNotWithThatOfItsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan time.Duration, 1)
		tr := &Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			begun := time.Now()
			<-ctx.Done()
			ended <- time.Since(begun)
			return nil, context.Cause(ctx)
		}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := peerTry(tr, peerRequest(t, "http://a.test", nil).WithContext(ctx)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want that the request ran out of time", err)
		}
		if took := <-ended; took != maxDial {
			t.Errorf("the dial was given up after %v, want %v", took, maxDial)
		}
		dial := peerWantHop(t, peerFail(t, tr, "http://a.test", nil), "connect")
		if <-ended; dial.ErrorType != "timeout" {
			t.Errorf("%v is not a timeout", dial)
		}
	})
}

func TestShutdownCancelsDialsWhenItsContextEnds(t *testing.T) {
	dialing := make(chan struct{})
	tr := &Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		close(dialing)
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}}
	got := trySend(tr, peerRequest(t, "http://a.test", nil))
	peerReceive(t, dialing, "a dial")
	ctx, cancel := context.WithCancel(t.Context())
	down := make(chan error, 1)
	go func() { down <- tr.Shutdown(ctx) }()
	cancel()
	if err := peerReceive(t, down, "Shutdown returns"); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown returned %v", err)
	}
	if err := peerReceive(t, got, "the request returns"); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}
