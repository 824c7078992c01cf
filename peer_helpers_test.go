package peerpool

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// peerTransport returns tr, which the end of the test shuts down.
func peerTransport(t testing.TB, tr *Transport) *Transport {
	t.Helper()
	madeFor.add(t.Name(), tr)
	t.Cleanup(func() {
		madeFor.forget(t.Name())
		ended, cancel := context.WithCancel(context.Background())
		cancel() // dials that hang end with their server
		_ = tr.Shutdown(ended)
	})
	return tr
}

// madeFor has the Transports that each test has, by the name of the test.
var madeFor transportsByTest

type transportsByTest struct {
	mu  sync.Mutex
	all map[string][]*Transport
}

func (m *transportsByTest) add(test string, tr *Transport) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.all == nil {
		m.all = make(map[string][]*Transport)
	}
	m.all[test] = append(m.all[test], tr)
}

func (m *transportsByTest) of(test string) []*Transport {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.all[test]
}

func (m *transportsByTest) forget(test string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.all, test)
}

// peerNew returns the peer that opts describe.
func peerNew(t testing.TB, opts PeerOptions) *Peer {
	t.Helper()
	p, err := NewPeer(opts)
	if err != nil {
		t.Fatalf("NewPeer(%+v): %v", opts, err)
	}
	return p
}

// peerRequest returns a GET that goes to a peer, which may be nil.
func peerRequest(t testing.TB, target string, peer *Peer) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(WithPeer(t.Context(), peer), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// peerGet sends a GET, and returns what the origin saw of it.
func peerGet(t testing.TB, rt http.RoundTripper, target string, peer *Peer) httptestutil.Seen {
	t.Helper()
	return peerSend(t, rt, peerRequest(t, target, peer))
}

// peerSend sends a request, and returns what the origin saw of it.
func peerSend(t testing.TB, rt http.RoundTripper, req *http.Request) httptestutil.Seen {
	t.Helper()
	resp, err := rt.RoundTrip(req)
	if err != nil {
		t.Fatalf("%s %s: %v", req.Method, req.URL.Redacted(), err)
	}
	return httptestutil.ReadSeen(t, resp)
}

// peerFailure is how a request failed: what RoundTrip returned, and what the Report tells of the last attempt.
type peerFailure struct {
	error
	last Attempt
}

func (f *peerFailure) Unwrap() error { return f.error }

// peerTry sends a request and returns its error; a response is read to its end.
func peerTry(rt http.RoundTripper, req *http.Request) error {
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return errors.Join(err, resp.Body.Close())
}

// peerTryReported is peerTry with a Report. The error of a request that it tells of is a *peerFailure.
func peerTryReported(rt http.RoundTripper, req *http.Request) error {
	ctx, report := WithReport(req.Context())
	err := peerTry(rt, req.WithContext(ctx))
	if all := report.Attempts(); err != nil && len(all) > 0 {
		return &peerFailure{err, all[len(all)-1]}
	}
	return err
}

// peerFail sends a GET that must not succeed, and returns its error.
func peerFail(t testing.TB, rt http.RoundTripper, target string, peer *Peer) error {
	t.Helper()
	err := peerTryReported(rt, peerRequest(t, target, peer))
	if err == nil {
		t.Fatalf("GET %s succeeded", target)
	}
	return err
}

// peerWantHop fails the test unless err is that of a dial that failed at that hop, and returns what is known of it.
func peerWantHop(t testing.TB, err error, hop string) Attempt {
	t.Helper()
	var failure *peerFailure
	if !errors.As(err, &failure) {
		t.Fatalf("got %T %q, which no Report tells of", err, err)
	}
	if failure.last.Hop != hop {
		t.Errorf("the failed hop is %q, want %q: %v", failure.last.Hop, hop, err)
	}
	return failure.last
}

// peerURL returns the base URL of an origin, with another host in it.
func peerURL(t testing.TB, o *httptestutil.Origin, host string) string {
	t.Helper()
	u := peerParse(t, o.URL())
	u.Host = net.JoinHostPort(host, u.Port())
	return u.String()
}

func peerParse(t testing.TB, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// peerPort returns the port of an "ip:port".
func peerPort(t testing.TB, addr string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// peerLoopback returns a resolver that has every one of hosts on 127.0.0.1.
func peerLoopback(t testing.TB, hosts ...string) *httptestutil.Resolver {
	t.Helper()
	r := &httptestutil.Resolver{}
	for _, host := range hosts {
		r.Set(t, host, "127.0.0.1")
	}
	return r
}

// peerProxy returns a Transport.Proxy that always answers with u.
func peerProxy(u *url.URL) func(*http.Request) (*url.URL, error) {
	return func(*http.Request) (*url.URL, error) { return u, nil }
}

// peerAsksForCert is a server's TLS configuration that asks for a client certificate of any authority.
func peerAsksForCert() *tls.Config {
	return &tls.Config{ClientAuth: tls.RequestClientCert, ClientCAs: x509.NewCertPool()}
}

// peerServerFor is the TLS configuration of a server with those names.
func peerServerFor(ca *httptestutil.CA, names ...string) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{ca.Server(names...)}}
}

// peerNeedsIPv6 skips the test where there is no ::1.
func peerNeedsIPv6(t testing.TB) {
	t.Helper()
	ln, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skipf("no IPv6 loopback here: %v", err)
	}
	ln.Close()
}

// peerNeedsSecondLoopback skips the test where 127.0.0.2 is not an address of this machine.
func peerNeedsSecondLoopback(t testing.TB) {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.2:0")
	if err != nil {
		t.Skipf("127.0.0.2 is not there on %s: %v", runtime.GOOS, err)
	}
	ln.Close()
}

// peerReceive returns what comes from a channel, and ends the test if nothing does within the bound of the servers.
func peerReceive[T any](t testing.TB, from <-chan T, what string) T {
	t.Helper()
	giveUp := time.NewTimer(httptestutil.Bound)
	defer giveUp.Stop()
	select {
	case v := <-from:
		return v
	case <-giveUp.C:
		t.Fatalf("after %v still not: %s", httptestutil.Bound, what)
		panic("unreachable")
	}
}

var ephemeral = regexp.MustCompile(`127\.0\.0\.1:\d{5}->`)

// peerUnported returns the text of an error without the port that the system chose for our side.
func peerUnported(err error) string { return ephemeral.ReplaceAllString(err.Error(), "127.0.0.1:x->") }

// peerKeys returns the identities that the pool knows.
func peerKeys(tr *Transport) []Identity {
	var ids []Identity
	for _, p := range tr.Stats().Peers {
		ids = append(ids, p.Identity)
	}
	slices.SortFunc(ids, func(a, b Identity) int { return len(a.String()) - len(b.String()) })
	return ids
}

// peerAsync sends a request on a goroutine of its own, and tells its error.
func peerAsync(rt http.RoundTripper, req *http.Request) <-chan error {
	ended := make(chan error, 1)
	go func() { ended <- peerTry(rt, req) }()
	return ended
}
