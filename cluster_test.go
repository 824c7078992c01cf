package peerpool

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// cluster is a simulated network for a bubble: servers at 192.0.2.1 and so on, which a host a.test has.
type cluster struct {
	t       *testing.T
	tr      *Transport
	servers map[netip.Addr]*simulated
	changes []AddressChange // told so far
	mu      sync.Mutex      // guards changes
}

// simulated is one server of a cluster.
type simulated struct {
	listener *httptestutil.Listener
	server   *http.Server
	dark     atomic.Bool // connects hang
	refuses  atomic.Bool // connects fail
	connects atomic.Int64
	requests atomic.Int64
	serve    atomic.Pointer[http.HandlerFunc]
}

func (s *simulated) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.requests.Add(1)
	(*s.serve.Load())(w, r)
}

func (s *simulated) does(f http.HandlerFunc) { s.serve.Store(&f) }

// These are the ways in which a server behaves.
var (
	serves  http.HandlerFunc = func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("well")) }
	aborts  http.HandlerFunc = func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	errs    http.HandlerFunc = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }
	hangs   http.HandlerFunc = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	cutsOff http.HandlerFunc = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		w.Write([]byte("short"))
		panic(http.ErrAbortHandler)
	}
)

// newCluster starts that many servers, and a Transport for them. It is called in a bubble.
func newCluster(t *testing.T, n int, tr *Transport) *cluster {
	t.Helper()
	c := &cluster{t: t, tr: peerTransport(t, tr), servers: make(map[netip.Addr]*simulated)}
	r := &httptestutil.Resolver{}
	addr := netip.MustParseAddr("192.0.2.1")
	var addrs []string
	for range n {
		s := &simulated{listener: httptestutil.NewListener(0)}
		s.does(serves)
		s.server = &http.Server{Handler: s, Protocols: new(http.Protocols)}
		s.server.Protocols.SetHTTP1(true)
		s.server.Protocols.SetUnencryptedHTTP2(true)
		go s.server.Serve(s.listener)
		t.Cleanup(func() { s.server.Close() })
		c.servers[addr] = s
		addrs = append(addrs, addr.String())
		addr = addr.Next()
	}
	r.Set(t, "a.test", addrs...)
	tr.Resolver = r
	tr.network = c.connect
	tr.Observer = MultiObserver(tr.Observer, &Observer{AddressChange: func(a AddressChange) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.changes = append(c.changes, a)
	}})
	return c
}

func (c *cluster) connect(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	s := c.servers[addr.Addr()]
	s.connects.Add(1)
	switch {
	case s.dark.Load():
		<-ctx.Done()
		return nil, ctx.Err()
	case s.refuses.Load():
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	return s.listener.Dial(ctx, "tcp", addr.String())
}

// at returns the server whose address ends with that number.
func (c *cluster) at(n byte) *simulated { return c.servers[netip.AddrFrom4([4]byte{192, 0, 2, n})] }

// get sends a GET and returns its error.
func (c *cluster) get() error {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Second)
	defer cancel()
	req := peerRequest(c.t, "http://a.test/", nil).WithContext(ctx)
	return peerTry(c.tr, req)
}

// mustGet sends n GETs one after the other. It fails the test if one gets no answer.
func (c *cluster) mustGet(n int) {
	c.t.Helper()
	for range n {
		if err := c.get(); err != nil {
			c.t.Error(err)
		}
	}
}

// eject sends GETs until an address is ejected.
func (c *cluster) eject(n byte, does http.HandlerFunc) {
	c.t.Helper()
	c.at(n).does(does)
	for range 200 {
		c.get()
		synctest.Wait() // until dials have ended
		if c.address(n).State == AddressEjected {
			return
		}
	}
	c.t.Fatalf("192.0.2.%d is not ejected: %+v", n, c.address(n))
}

// address returns what the Transport says of an address.
func (c *cluster) address(n byte) AddressStats {
	c.t.Helper()
	for _, h := range c.tr.Stats().Hosts {
		for _, a := range h.Addresses {
			if a.Addr.Addr() == netip.AddrFrom4([4]byte{192, 0, 2, n}) {
				return a
			}
		}
	}
	c.t.Fatalf("nothing is known of 192.0.2.%d", n)
	return AddressStats{}
}

func (c *cluster) wantState(n byte, want AddressState, reason EjectReason) {
	c.t.Helper()
	if a := c.address(n); a.State != want || a.Reason != reason {
		c.t.Errorf("192.0.2.%d is %+v, want %s for %q", n, a, want, reason)
	}
}
