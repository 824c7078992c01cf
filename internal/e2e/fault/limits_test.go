package fault_test

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/testkit"
)

const (
	soon   = 20 * time.Millisecond // the limit of what never happens
	kept   = 2 * time.Second       // the limit of what happens at once, on a machine with other work too
	longer = kept + soon
)

// wantLimit checks that the error is the one of a limit, and that it is a timeout.
func wantLimit(t *testing.T, err, want error) {
	t.Helper()
	if err != want {
		t.Fatalf("error is %v (%T), want %v", err, err, want)
	}
	if timeout, ok := err.(net.Error); !ok || !timeout.Timeout() {
		t.Errorf("%v is not a timeout", err)
	}
}

// TestMain lets more tests run at a time than there are processors, because those that run in parallel sleep most of the
// time.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "32"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// eachWay tries the ways to set a limit: the Transport's, or that of a peer, which takes precedence.
func eachWay(t *testing.T, field func(*peerpool.Transport) *time.Duration, own func(*peerpool.PeerOptions, *time.Duration),
	limit time.Duration, test func(t *testing.T, tr *peerpool.Transport)) {
	t.Run("of the Transport", func(t *testing.T) {
		t.Parallel()
		tr := &peerpool.Transport{}
		*field(tr) = limit
		test(t, tr)
	})
	t.Run("of the peer", func(t *testing.T) {
		t.Parallel()
		var opts peerpool.PeerOptions
		own(&opts, &limit)
		peer, err := peerpool.NewPeer(opts)
		if err != nil {
			t.Fatal(err)
		}
		tr := &peerpool.Transport{PeerFor: func(*http.Request) (*peerpool.Peer, error) { return peer, nil }}
		*field(tr) = time.Hour
		test(t, tr)
	})
}

// eachServer runs the test with a server of each protocol, which calls handler.
func eachServer(t *testing.T, handler http.HandlerFunc, tr *peerpool.Transport, test func(t *testing.T, s *testkit.Subject, url string)) {
	for name, protocols := range map[string]*http.Protocols{
		"HTTP/1.1":          testkit.Versions(testkit.OverHTTP1),
		"HTTP/1.1 with TLS": testkit.Versions(testkit.OverHTTP1),
		"HTTP/2":            testkit.Versions(testkit.OverHTTP2),
		"hidden socket":     testkit.Versions(testkit.OverHTTP1),
	} {
		t.Run(name, func(t *testing.T) {
			opts := httptestutil.OriginOptions{Handler: handler, Protocols: protocols}
			mine := tr.Clone()
			if name == "HTTP/2" || name == "HTTP/1.1 with TLS" {
				opts.CA = httptestutil.NewCA(t)
			}
			o := httptestutil.NewOrigin(t, opts)
			if opts.CA != nil {
				mine.TLSClientConfig, mine.ForceAttemptHTTP2 = o.ClientTLS(), name == "HTTP/2"
			}
			if name == "hidden socket" {
				mine.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
					nc, err := new(net.Dialer).DialContext(ctx, network, addr)
					return struct{ net.Conn }{nc}, err
				}
			}
			test(t, testkit.Observe(t, mine), o.URL())
		})
	}
}

func TestAPeersResponseHeaderTimeoutReplacesTheTransports(t *testing.T) {
	silent := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			time.Sleep(longer)
			return
		}
		<-r.Context().Done()
	}
	none := time.Duration(0)
	eachServer(t, silent, &peerpool.Transport{ResponseHeaderTimeout: soon}, func(t *testing.T, s *testkit.Subject, url string) {
		t.Parallel()
		_, err := s.RoundTrip(testkit.NewRequest(t, "GET", url+"/", nil))
		if timeout, ok := err.(net.Error); !ok || !timeout.Timeout() || !strings.Contains(err.Error(), "timeout awaiting response headers") {
			t.Errorf("error is %v", err)
		}
		peer, err := peerpool.NewPeer(peerpool.PeerOptions{ResponseHeaderTimeout: &none})
		if err != nil {
			t.Fatal(err)
		}
		req := testkit.NewRequest(t, "GET", url+"/slow", nil)
		s.Ok(req.WithContext(peerpool.WithPeer(req.Context(), peer)))
	})
}

// silentDial returns a Transport whose connections are opened after a while and then say nothing, and how long a
// request to it took to fail.
func silentDial(t *testing.T, tr *peerpool.Transport, opening time.Duration, opts peerpool.PeerOptions) (time.Duration, error) {
	var took time.Duration
	var err error
	synctest.Test(t, func(t *testing.T) {
		ln := httptestutil.NewListener(0)
		httptestutil.NewWireWith(t, httptestutil.WireOptions{Listener: ln}, func(c *httptestutil.WireConn) {
			_, _ = io.Copy(io.Discard, c.Conn())
		})
		tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			select {
			case <-time.After(opening):
				return ln.Dial(ctx, network, addr)
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		peer, invalid := peerpool.NewPeer(opts)
		if invalid != nil {
			t.Fatal(invalid)
		}
		start := time.Now()
		req := testkit.NewRequest(t, "GET", "https://a.test/", nil)
		_, err = testkit.Observe(t, tr).RoundTrip(req.WithContext(peerpool.WithPeer(req.Context(), peer)))
		took = time.Since(start)
	})
	return took, err
}

func TestEachPartOfADialHasALimit(t *testing.T) {
	limit := func(d time.Duration) *time.Duration { return &d }
	for _, c := range []struct {
		name    string
		tr      *peerpool.Transport
		opening time.Duration
		opts    peerpool.PeerOptions
		want    time.Duration
		err     func(error) bool
	}{
		{"the connect", &peerpool.Transport{}, time.Hour, peerpool.PeerOptions{ConnectTimeout: limit(3 * time.Second)}, 3 * time.Second,
			func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }},
		{"the handshake", &peerpool.Transport{TLSHandshakeTimeout: time.Hour}, 2 * time.Second,
			peerpool.PeerOptions{TLSHandshakeTimeout: limit(3 * time.Second)}, 5 * time.Second,
			func(err error) bool { return err.Error() == "net/http: TLS handshake timeout" }},
		{"all of it", &peerpool.Transport{}, 2 * time.Second, peerpool.PeerOptions{DialTimeout: limit(3 * time.Second)}, 3 * time.Second,
			func(err error) bool { return err == peerpool.ErrDialTimeout }},
		{"all of it, before the connect ends", &peerpool.Transport{}, time.Hour, peerpool.PeerOptions{DialTimeout: limit(3 * time.Second)}, 3 * time.Second,
			func(err error) bool { return err == peerpool.ErrDialTimeout }},
		{"all of it, of the Transport", &peerpool.Transport{DialTimeout: 3 * time.Second}, time.Hour, peerpool.PeerOptions{}, 3 * time.Second,
			func(err error) bool { return err == peerpool.ErrDialTimeout }},
		{"the Transport's are not the peer's", &peerpool.Transport{DialTimeout: time.Second, TLSHandshakeTimeout: time.Second}, 0,
			peerpool.PeerOptions{DialTimeout: limit(0), TLSHandshakeTimeout: limit(4 * time.Second)}, 4 * time.Second,
			func(err error) bool { return err.Error() == "net/http: TLS handshake timeout" }},
		{"more than two minutes", &peerpool.Transport{DialTimeout: 5 * time.Minute}, time.Hour, peerpool.PeerOptions{}, 5 * time.Minute,
			func(err error) bool { return err == peerpool.ErrDialTimeout }},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.tr.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
			took, err := silentDial(t, c.tr, c.opening, c.opts)
			if err == nil || !c.err(err) || took != c.want {
				t.Errorf("%v (%T) after %v, want that after %v", err, err, took, c.want)
			}
			if timeout, ok := err.(net.Error); !ok || !timeout.Timeout() {
				t.Errorf("%v is not a timeout", err)
			}
		})
	}
}
