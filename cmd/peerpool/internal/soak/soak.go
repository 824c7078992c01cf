package soak

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peerpool/peerpool"
)

// Options say what a run sends.
type Options struct {
	Requests int
	Callers  int           // at a time; 0: 32
	Seed     uint64        // of the requests; what happens also depends on the scheduler
	Restart  time.Duration // time between restarts of a server; 0: 100 milliseconds

	Settle time.Duration // how long goroutines and descriptors may take to go away; 0: 10 seconds

	// Wrap, if it is not nil, wraps the Transport, so that a test can see whether the ledger notices faults.
	Wrap func(http.RoundTripper) http.RoundTripper

	// Progress, if it is not nil, is called from time to time with the number of requests that have ended.
	Progress func(ended int)
}

const tenants = 4

// field holds the servers, and the Transports that send requests to them.
type field struct {
	ledger     *ledger
	plain      []*http1Server // the last one is rude
	http2      *http2Server
	proxy      *proxy
	transports []*peerpool.Transport
	dials      *dials // of the Transports
	lanes      []lane
}

// Run starts servers on the loopback interface and sends requests to them, until all have ended or ctx ends. It returns the
// sum of the ledger.
func Run(ctx context.Context, opts Options) (*Report, error) {
	if opts.Callers <= 0 {
		opts.Callers = 32
	}
	if opts.Restart <= 0 {
		opts.Restart = 100 * time.Millisecond
	}
	if opts.Settle <= 0 {
		opts.Settle = 10 * time.Second
	}
	before := takeCensus()
	f, err := newField()
	if err != nil {
		return nil, err
	}
	f.send(ctx, opts)
	if err := f.close(opts.Settle); err != nil {
		return nil, err
	}
	if left := before.waitForReturn(opts.Settle); left != "" {
		f.ledger.violate(Leaked, "%s; %d of the sockets were dialed", left, f.dials.open())
	} else if n := f.dials.open(); n > 0 {
		f.ledger.violate(Leaked, "%d sockets that were dialed", n)
	}
	return f.ledger.sum(), nil
}

func newField() (*field, error) {
	cert, roots, err := newCertificate()
	if err != nil {
		return nil, err
	}
	f := &field{ledger: newLedger(), dials: new(dials)}
	over1 := &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}}
	over2 := &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2"}}
	var urls []string
	for _, s := range []*http1Server{{}, {tls: over1}, {rude: true}, {rude: true, tls: over1}} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		s.ledger, s.ln, s.conns = f.ledger, ln, make(map[*http1Conn]bool)
		scheme := "http://"
		if s.tls != nil {
			scheme = "https://"
		}
		urls = append(urls, scheme+ln.Addr().String())
		f.plain = append(f.plain, s)
		s.wg.Add(1)
		go s.serve()
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f.http2 = &http2Server{ledger: f.ledger, ln: ln, tls: over2, conns: make(map[net.Conn]bool)}
	f.http2.wg.Add(1)
	go f.http2.serve()
	pln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f.proxy = &proxy{ln: pln, conns: make(map[net.Conn]bool)}
	f.proxy.wg.Add(1)
	go f.proxy.serve()

	via := &url.URL{Scheme: "http", Host: pln.Addr().String()}
	two := "https://" + ln.Addr().String()
	for _, l := range []struct {
		name, url string
		proxy     *url.URL
		weight    int
		rude      bool
	}{
		{"plain", urls[0], nil, 6, false}, {"TLS", urls[1], nil, 4, false}, {"HTTP/2", two, nil, 6, false},
		{"TLS through CONNECT", urls[1], via, 2, false}, {"HTTP/2 through CONNECT", two, via, 2, false},
		{"plain, rude", urls[2], nil, 1, true}, {"TLS, rude", urls[3], nil, 1, true},
		{"TLS through CONNECT, rude", urls[3], via, 1, true},
	} {
		lane := lane{name: l.name, url: l.url, rude: l.rude}
		for tenant := range tenants {
			peer, err := peerpool.NewPeer(peerpool.PeerOptions{Group: fmt.Sprint(tenant), Proxy: l.proxy})
			if err != nil {
				return nil, err
			}
			lane.peers = append(lane.peers, peer)
		}
		for range l.weight {
			f.lanes = append(f.lanes, lane)
		}
	}
	trust := func() *tls.Config { return &tls.Config{RootCAs: roots} }
	f.transports = []*peerpool.Transport{
		{TLSClientConfig: trust(), ForceAttemptHTTP2: true, Dialer: f.dials.dialer()},
		{
			TLSClientConfig: trust(), ForceAttemptHTTP2: true, Dialer: f.dials.dialer(),
			MaxConnsPerHost: 2, MaxConnReuse: 20, MaxConnLifetime: 500 * time.Millisecond,
		},
	}
	return f, nil
}

// send runs the callers, and restarts the servers meanwhile.
func (f *field) send(ctx context.Context, opts Options) {
	stop := make(chan struct{})
	var servers, callers sync.WaitGroup
	servers.Go(func() {
		tick := time.NewTicker(opts.Restart)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-tick.C:
				f.plain[i%len(f.plain)].restart()
			case <-stop:
				return
			}
		}
	})
	var sent atomic.Int64
	for i := range opts.Callers {
		random := rand.New(rand.NewPCG(opts.Seed, uint64(i)))
		var rt http.RoundTripper = f.transports[i%len(f.transports)]
		if opts.Wrap != nil {
			rt = opts.Wrap(rt)
		}
		c := &caller{ledger: f.ledger, lanes: f.lanes, tr: rt, random: random}
		callers.Go(func() {
			for ctx.Err() == nil {
				n := sent.Add(1)
				if n > int64(opts.Requests) {
					return
				}
				c.call(token(n<<20 | random.Int64N(1<<20)))
				if opts.Progress != nil && n%10000 == 0 {
					opts.Progress(int(n))
				}
			}
		})
	}
	callers.Wait()
	close(stop)
	servers.Wait()
}

// close ends the Transports and the servers, and records the leases that are left.
func (f *field) close(settle time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), settle)
	defer cancel()
	for _, tr := range f.transports {
		if err := tr.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		if st := tr.Stats(); st.Active+st.Idle+st.Waiting > 0 {
			f.ledger.violate(Leaked, "%d connections in use, %d idle, %d requests that wait", st.Active, st.Idle, st.Waiting)
		}
	}
	for _, s := range f.plain {
		s.close()
	}
	f.http2.close()
	f.proxy.close()
	return nil
}

// newCertificate returns a self-signed certificate for 127.0.0.1, and roots that trust it.
func newCertificate() (tls.Certificate, *x509.CertPool, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(30 * 24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(crand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots, nil
}
