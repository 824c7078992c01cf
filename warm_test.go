package peerpool

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/h2server"
)

// wantWarm warms and checks what stands then.
func wantWarm(t *testing.T, tr *Transport, url string, n, conns int) {
	t.Helper()
	if err := tr.Warm(t.Context(), url, n); err != nil {
		t.Fatalf("Warm: %v", err)
	}
	if s := tr.Stats(); s.Idle != conns || s.Dialing != 0 {
		t.Errorf("%d idle connections and %d dials after Warm, want %d", s.Idle, s.Dialing, conns)
	}
}

func TestARequestAfterWarmFindsAConnection(t *testing.T) {
	over := func(set ...func(*http.Protocols, bool)) *http.Protocols {
		p := new(http.Protocols)
		for _, set := range set {
			set(p, true)
		}
		return p
	}
	for name, c := range map[string]struct {
		opts  httptestutil.OriginOptions
		tr    func(o *httptestutil.Origin) *Transport
		conns int
	}{
		"HTTP/1.1": {httptestutil.OriginOptions{}, func(*httptestutil.Origin) *Transport { return &Transport{} }, 4},
		"with TLS": {httptestutil.OriginOptions{CA: httptestutil.NewCA(t)}, func(o *httptestutil.Origin) *Transport { return &Transport{TLSClientConfig: o.ClientTLS()} }, 4},
		"HTTP/2": {httptestutil.OriginOptions{CA: httptestutil.NewCA(t), Protocols: over((*http.Protocols).SetHTTP1, (*http.Protocols).SetHTTP2)}, func(o *httptestutil.Origin) *Transport {
			return &Transport{TLSClientConfig: o.ClientTLS(), ForceAttemptHTTP2: true}
		}, 1},
		"2 streams": {httptestutil.OriginOptions{CA: httptestutil.NewCA(t), Protocols: over((*http.Protocols).SetHTTP2), Configure: twoStreams}, func(o *httptestutil.Origin) *Transport {
			return &Transport{TLSClientConfig: o.ClientTLS(), ForceAttemptHTTP2: true}
		}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			o := httptestutil.NewOrigin(t, c.opts)
			tr := peerTransport(t, c.tr(o))
			wantWarm(t, tr, o.URL(), 4, c.conns)
			wantWarm(t, tr, o.URL(), 4, c.conns)
			if n := o.Requests(); n != 0 {
				t.Errorf("Warm has sent %d requests", n)
			}
			resp, err := tr.RoundTrip(peerRequest(t, o.URL(), nil))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if s := tr.Stats(); s.Hits != 1 || len(s.Misses) != 0 || s.Dials != uint64(c.conns) {
				t.Errorf("%d hits, misses %v, %d dials", s.Hits, s.Misses, s.Dials)
			}
		})
	}
}

func twoStreams(s *http.Server) { s.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 2} }

func TestWarmUsesThePeerOfItsContext(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	tr := peerTransport(t, &Transport{})
	ctx := WithPeer(t.Context(), peerNew(t, PeerOptions{Addr: o.Addr(), Group: "tenant"}))
	if err := tr.Warm(ctx, "http://nowhere.invalid/", 1); err != nil {
		t.Fatal(err)
	}
	for _, s := range tr.Stats().Peers {
		if s.Identity.Group() != "tenant" || s.Idle != 1 {
			t.Errorf("Warm has made %+v", s)
		}
	}
}

func TestWarmGoesThroughTheProxy(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
	proxy := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{})
	tr := peerTransport(t, &Transport{TLSClientConfig: o.ClientTLS(), Proxy: http.ProxyURL(proxy.URL())})
	wantWarm(t, tr, o.URL(), 2, 2)
	if n := len(proxy.Asked()); n != 2 {
		t.Errorf("the proxy was asked for %d tunnels, want 2", n)
	}
}

func TestWarmOpensConnectionsToAllAddressesOfABalancedHost(t *testing.T) {
	r := new(httptestutil.Resolver)
	ln := onEveryLoopback(t)
	httptestutil.NewOrigin(t, httptestutil.OriginOptions{Listener: ln})
	r.Set(t, "a.test", "127.0.0.1", "127.0.0.2")
	tr := peerTransport(t, &Transport{Resolver: r, Balance: BalanceRoundRobin})
	wantWarm(t, tr, fmt.Sprintf("http://a.test:%d/", ln.Addr().(*net.TCPAddr).Port), 4, 4)
	for _, s := range tr.Stats().Peers {
		if s.Idle != 2 {
			t.Errorf("%+v, want 2 idle connections", s)
		}
	}
}

// onEveryLoopback listens on every address, of which the tests use those of loopback.
func onEveryLoopback(t *testing.T) net.Listener {
	ln, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func TestWarmSaysWhyNot(t *testing.T) {
	ca := httptestutil.NewCA(t)
	plain, secure := httptestutil.NewOrigin(t, httptestutil.OriginOptions{}), httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: ca})
	gone := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	gone.Close()
	never := time.Duration(0)
	for _, c := range []struct {
		name string
		tr   *Transport
		ctx  context.Context
		url  string
		want func(err error) bool
	}{
		{"no server", &Transport{}, nil, gone.URL(), func(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }},
		{"no trust", &Transport{}, nil, secure.URL(), func(err error) bool {
			_, ok := err.(*tls.CertificateVerificationError)
			return ok
		}},
		{"no such scheme", &Transport{}, nil, "ftp://127.0.0.1/", text(`unsupported protocol scheme "ftp"`)},
		{"no URL", &Transport{}, nil, "http://a b/", text(`parse "http://a b/": invalid character " " in host name`)},
		{"no URL, with a password", &Transport{}, nil, "http://user:secret@a b/", func(err error) bool { return err == errMalformedURL }},
		{"a limit of connections", &Transport{MaxConnsPerHost: 2}, nil, plain.URL(), text("peerpool: Warm needs 3 connections, MaxConnsPerHost allows 2")},
		{"a limit of idle ones", &Transport{MaxIdleConnsPerHost: 2}, nil, plain.URL(), text("peerpool: Warm needs 3 connections, MaxIdleConnsPerHost allows 2")},
		{"a limit of the pool", &Transport{MaxIdleConns: 2}, nil, plain.URL(), text("peerpool: Warm needs 3 connections, MaxIdleConns allows 2")},
		{"no keep-alive", &Transport{DisableKeepAlives: true}, nil, plain.URL(), func(err error) bool { return err == errNotKept }},
		{"a peer that is not pooled", &Transport{}, WithPeer(t.Context(), peerNew(t, PeerOptions{IdleTimeout: &never})), plain.URL(), func(err error) bool { return err == errNotKept }},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := c.ctx
			if ctx == nil {
				ctx = t.Context()
			}
			err := peerTransport(t, c.tr).Warm(ctx, c.url, 3)
			if err == nil || !c.want(err) {
				t.Errorf("Warm returned %v (%T)", err, err)
			}
		})
	}
}

func text(want string) func(error) bool { return func(err error) bool { return err.Error() == want } }

func TestWarmEndsWithItsContext(t *testing.T) {
	tr := peerTransport(t, &Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	time.AfterFunc(time.Millisecond, func() { cancel(cause) })
	if err := tr.Warm(ctx, "http://a.test/", 1); err != cause {
		t.Errorf("Warm returned %v, want the cause of its context", err)
	}
}

func TestWarmFailsAfterShutdown(t *testing.T) {
	tr := &Transport{}
	_ = tr.Shutdown(t.Context())
	if err := tr.Warm(t.Context(), "http://127.0.0.1:1/", 1); err != ErrClosed {
		t.Errorf("Warm returned %v, want ErrClosed", err)
	}
}

func TestWarmWaitsForTheSettingsOfAnHTTP2Server(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := httptestutil.NewListener(0)
		defer ln.Close()
		protocols := new(http.Protocols)
		protocols.SetUnencryptedHTTP2(true)
		tr := &Transport{DialContext: ln.Dial, Protocols: protocols}
		defer tr.CloseIdleConnections()
		done := make(chan error, 1)
		go func() { done <- tr.Warm(t.Context(), "http://a.test/", 4) }()
		nc, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		frames := h2server.Frames(nc)
		synctest.Wait()
		if len(done) > 0 {
			t.Fatalf("Warm returned %v before the settings came", <-done)
		}
		frames.MaxStreams(2)
		nc2, err := ln.Accept() // as two streams are not enough
		if err != nil {
			t.Fatal(err)
		}
		defer nc2.Close()
		h2server.Frames(nc2).MaxStreams(2)
		if err := <-done; err != nil {
			t.Errorf("Warm returned %v", err)
		}
	})
}

func TestWarmGivesUpOnAnHTTP2ServerThatSendsNoSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := httptestutil.NewListener(0)
		defer ln.Close()
		protocols := new(http.Protocols)
		protocols.SetUnencryptedHTTP2(true)
		tr := &Transport{DialContext: ln.Dial, Protocols: protocols}
		go func() {
			if nc, err := ln.Accept(); err == nil {
				defer nc.Close()
				_ = nc.SetDeadline(time.Now().Add(time.Hour))
				for frames := h2server.Frames(nc); frames.Next() != nil; {
				}
			}
		}()
		err := tr.Warm(t.Context(), "http://a.test/", 1)
		if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() {
			t.Errorf("Warm returned %v, want a timeout", err)
		}
		if s := tr.Stats(); s.Opened != 0 || s.DialFailures != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestWarmRefusesConnectionsThatServeOneRequestEach(t *testing.T) {
	o := certificateOrigin(t, nil)
	config := o.ClientTLS()
	config.GetClientCertificate = byContext(clientCertificates(o, "anna"))
	tr := peerTransport(t, &Transport{TLSClientConfig: config, MinIdleConnsPerHost: 2})
	ctx := context.WithValue(t.Context(), certificateOf{}, "anna")
	for range 2 {
		if err := tr.Warm(ctx, o.URL(), 2); err != errNotKept {
			t.Errorf("Warm returned %v", err)
		}
	}
	if name := servedAs(t, tr, ofTenant(t, o.URL(), "anna")); name != "anna" {
		t.Errorf("served as %q", name)
	}
	if s := tr.Stats(); s.Idle != 0 {
		t.Errorf("%d idle connections", s.Idle)
	}
}

// inFloorBubble has a Transport with a floor of two connections to a server of a bubble.
func inFloorBubble(t *testing.T, tr *Transport, test func(t *testing.T, url string)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ln := httptestutil.NewListener(0)
		go patientServer(ln)
		defer ln.Close()
		tr.DialContext, tr.MinIdleConnsPerHost = ln.Dial, 2
		defer tr.Shutdown(t.Context())
		resp, err := tr.RoundTrip(peerRequest(t, "http://a.test/", nil))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		synctest.Wait()
		test(t, "http://a.test/")
	})
}

// patientServer answers every request, and keeps its connections for as long as its client does.
func patientServer(ln net.Listener) {
	for {
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer nc.Close()
			for br := bufio.NewReader(nc); ; {
				if _, err := http.ReadRequest(br); err != nil {
					return
				}
				_, _ = io.WriteString(nc, httptestutil.Response("ok"))
			}
		}()
	}
}

func wantIdle(t *testing.T, tr *Transport, n int) {
	t.Helper()
	synctest.Wait()
	if s := tr.Stats(); s.Idle != n {
		t.Errorf("%d idle connections, want %d; dials %d, failures %d, closes %v", s.Idle, n, s.Dials, s.DialFailures, s.Closes)
	}
}

func TestMinIdleConnsPerHostIsKeptAfterTheIdleTimeout(t *testing.T) {
	tr := &Transport{IdleConnTimeout: time.Minute}
	inFloorBubble(t, tr, func(t *testing.T, url string) {
		time.Sleep(2 * time.Minute) // three: one served the request, and two were opened meanwhile
		wantIdle(t, tr, 2)
		for range 40 {
			time.Sleep(time.Minute)
			wantIdle(t, tr, 2)
		}
		time.Sleep(20 * time.Minute) // an hour after the request
		wantIdle(t, tr, 0)
		if n := len(tr.Stats().Peers); n != 0 {
			t.Errorf("%d peers are known", n)
		}
	})
}

func TestMinIdleConnsPerHostEndsWithCloseIdleConnections(t *testing.T) {
	tr := &Transport{}
	inFloorBubble(t, tr, func(t *testing.T, url string) {
		tr.CloseIdleConnections()
		time.Sleep(time.Minute)
		wantIdle(t, tr, 0)
		if n := len(tr.core.routes.byKey); n != 0 {
			t.Errorf("%d routes are known", n)
		}
		resp, err := tr.RoundTrip(peerRequest(t, url, nil)) // begins again
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		synctest.Wait()
		if s := tr.Stats(); s.Idle < 2 {
			t.Errorf("%d idle connections", s.Idle)
		}
	})
}

func TestWarmBeginsTheFloorOfItsPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := httptestutil.NewListener(0)
		go patientServer(ln)
		defer ln.Close()
		tr := &Transport{DialContext: ln.Dial, IdleConnTimeout: time.Minute}
		defer tr.Shutdown(t.Context())
		ctx := WithPeer(t.Context(), peerNew(t, PeerOptions{MinIdleConns: 3}))
		if err := tr.Warm(ctx, "http://a.test/", 1); err != nil {
			t.Fatal(err)
		}
		wantIdle(t, tr, 3)
		time.Sleep(10 * time.Minute)
		wantIdle(t, tr, 3)
	})
}

func TestMinIdleConnsOfAPeerIsChecked(t *testing.T) {
	for want, opts := range map[string]PeerOptions{
		"peerpool: PeerOptions.MinIdleConns: -1 is negative":                {MinIdleConns: -1},
		"peerpool: PeerOptions.MinIdleConns: 3 is greater than MaxConns, 2": {MinIdleConns: 3, MaxConns: 2},
	} {
		if _, err := NewPeer(opts); err == nil || err.Error() != want {
			t.Errorf("NewPeer(%+v) returned %v, want %s", opts, err, want)
		}
	}
}

func TestTheLaterOfTwoWarmsThatDoNotFitSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &Transport{MaxIdleConns: 4, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}}
		ctx, cancel := context.WithCancel(t.Context())
		go tr.Warm(ctx, "http://a.test/", 3)
		synctest.Wait()
		err := tr.Warm(ctx, "http://b.test/", 2)
		if want := "peerpool: Warm needs 2 connections, MaxIdleConns allows 4, and other calls of Warm need 3 of these"; err == nil || err.Error() != want {
			t.Errorf("Warm: %v, want %s", err, want)
		}
		if n := tr.Stats().Dials; n != 3 {
			t.Errorf("%d dials, want the 3 of the first", n)
		}
		cancel()
		closed, end := context.WithCancel(t.Context())
		end()
		tr.Shutdown(closed) // ends the dials
	})
}
