package peerpool

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

type certificateOf struct{}

// ofTenant is a request whose context names a tenant.
func ofTenant(t *testing.T, target, tenant string) *http.Request {
	req := peerRequest(t, target, nil)
	return req.WithContext(context.WithValue(req.Context(), certificateOf{}, tenant))
}

// certificateOrigin answers with the name on the client's certificate.
func certificateOrigin(t *testing.T, protocols *http.Protocols) *httptestutil.Origin {
	opts := httptestutil.OriginOptions{CA: httptestutil.NewCA(t), TLS: peerAsksForCert(), Handler: http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.TLS.PeerCertificates[0].Subject.CommonName)
		})}
	if protocols != nil {
		opts.Protocols = protocols
	}
	return httptestutil.NewOrigin(t, opts)
}

// clientCertificates are those of tenants, by name.
func clientCertificates(o *httptestutil.Origin, tenants ...string) map[string]*tls.Certificate {
	certs := make(map[string]*tls.Certificate)
	for _, tenant := range tenants {
		cert := o.CA().Client(tenant)
		certs[tenant] = &cert
	}
	return certs
}

func servedAs(t *testing.T, tr http.RoundTripper, req *http.Request) string {
	t.Helper()
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var name string
	fmt.Fscan(resp.Body, &name)
	return name
}

// byContext is a GetClientCertificate that presents the certificate of the tenant that the context names.
func byContext(certs map[string]*tls.Certificate) func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return func(asked *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return certs[asked.Context().Value(certificateOf{}).(string)], nil
	}
}

func TestACertificateThatIsLookedUpInTheContextServesThatRequestAlone(t *testing.T) {
	tlsOf := func(c *tls.Config) *Transport { return &Transport{TLSClientConfig: c} }
	for _, test := range []struct {
		name      string
		transport func(c *tls.Config) *Transport
		http2     bool
	}{
		{"HTTP/1.1", tlsOf, false},
		{"HTTP/2", func(c *tls.Config) *Transport { return &Transport{TLSClientConfig: c, ForceAttemptHTTP2: true} }, true},
		{"with a session cache", func(c *tls.Config) *Transport {
			c.ClientSessionCache = tls.NewLRUClientSessionCache(0)
			return tlsOf(c)
		}, false},
		{"one connection at a time", func(c *tls.Config) *Transport {
			return &Transport{TLSClientConfig: c, MaxConnsPerHost: 1}
		}, false},
		{"a handshake that DialTLSContext leaves to the Transport", func(c *tls.Config) *Transport {
			return &Transport{DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				nc, err := new(net.Dialer).DialContext(ctx, network, addr)
				if err != nil {
					return nil, err
				}
				return tls.Client(nc, c), nil
			}}
		}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var protocols *http.Protocols
			if test.http2 {
				protocols = new(http.Protocols)
				protocols.SetHTTP2(true)
			}
			o := certificateOrigin(t, protocols)
			cfg := o.ClientTLS()
			cfg.ServerName = "example.test"
			cfg.GetClientCertificate = byContext(clientCertificates(o, "a", "b", "c", "d"))
			tr := peerTransport(t, test.transport(cfg))
			for _, tenant := range []string{"a", "b", "a", "a", "b"} {
				if got := servedAs(t, tr, ofTenant(t, o.URL(), tenant)); got != tenant {
					t.Errorf("tenant %s was served as %s", tenant, got)
				}
			}
			crowdOfTenants(t, tr, o.URL())
			if s := tr.Stats(); s.Idle != 0 || s.Closes["unpooled"] == 0 {
				t.Errorf("the statistics are %+v", s)
			}
		})
	}
}

// crowdOfTenants sends requests of four tenants at once.
func crowdOfTenants(t *testing.T, tr *Transport, target string) {
	t.Helper()
	done := make(chan string, 40)
	for i := range cap(done) {
		tenant := string(rune('a' + i%4))
		req := ofTenant(t, target, tenant)
		go func() {
			resp, err := tr.RoundTrip(req)
			if err != nil {
				done <- err.Error()
				return
			}
			defer resp.Body.Close()
			var got string
			if fmt.Fscan(resp.Body, &got); got != tenant {
				done <- "tenant " + tenant + " was served as " + got
				return
			}
			done <- ""
		}()
	}
	for range cap(done) {
		if failure := peerReceive(t, done, "a request returns"); failure != "" {
			t.Error(failure)
		}
	}
}

func TestAGetClientCertificateThatDoesNotLookAtTheContextKeepsItsReuse(t *testing.T) {
	o := certificateOrigin(t, nil)
	certs := clientCertificates(o, "a")
	var asked atomic.Int64
	cfg := o.ClientTLS()
	cfg.GetClientCertificate = func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		asked.Add(1)
		ctx, cancel := context.WithCancel(info.Context()) // deriving a context does not count as looking at its values
		defer cancel()
		return certs["a"], ctx.Err()
	}
	tr := peerTransport(t, &Transport{TLSClientConfig: cfg})
	for range 3 {
		if got := servedAs(t, tr, ofTenant(t, o.URL(), "x")); got != "a" {
			t.Errorf("served as %s", got)
		}
	}
	if n := asked.Load(); n != 1 || o.Conns() != 1 {
		t.Errorf("%d handshakes on %d connections, want one", n, o.Conns())
	}
}

func TestACertificateTowardsAProxyThatIsLookedUpInTheContextServesThatRequestAlone(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	var names []string
	ca := httptestutil.NewCA(t)
	p := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{TLS: &tls.Config{
		Certificates: []tls.Certificate{ca.Server("127.0.0.1")}, ClientAuth: tls.RequestClientCert,
		VerifyConnection: func(s tls.ConnectionState) error {
			names = append(names, s.PeerCertificates[0].Subject.CommonName)
			return nil
		},
	}})
	a, b := ca.Client("a"), ca.Client("b")
	cfg := &tls.Config{RootCAs: ca.Pool(), GetClientCertificate: byContext(map[string]*tls.Certificate{"a": &a, "b": &b})}
	tr := peerTransport(t, &Transport{TLSClientConfig: cfg, Proxy: peerProxy(p.URL())})
	for _, tenant := range []string{"a", "b", "a"} {
		if err := peerTry(tr, ofTenant(t, o.URL(), tenant)); err != nil {
			t.Fatal(err)
		}
	}
	if got := fmt.Sprint(names); got != "[a b a]" {
		t.Errorf("the proxy has seen the certificates of %s", got)
	}
}
