package main

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"sync/atomic"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/peerpool/peerpool"
	"github.com/peerpool/peerpool/examples/internal/certs"
	"github.com/peerpool/peerpool/examples/internal/report"
)

// client is a client of the API server whose certificate can be rotated.
type client struct {
	meter *report.Meter
	name  string
	ca    *certs.CA
	use   func(tls.Certificate) error // makes the Transport use a certificate from now on
}

// newPeerpool returns a client on peerpool with a Peer for each certificate. A request takes the current Peer, and therefore a
// connection that was opened with its certificate. The other connections serve only the requests that are under way on them.
func newPeerpool(ca *certs.CA) *client {
	var current atomic.Pointer[peerpool.Peer]
	t := &peerpool.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: ca.Pool()},
		ForceAttemptHTTP2: true,
		PeerFor:           func(*http.Request) (*peerpool.Peer, error) { return current.Load(), nil },
	}
	use := func(cert tls.Certificate) error {
		peer, err := peerpool.NewPeer(peerpool.PeerOptions{ClientCertificate: &cert})
		if err == nil {
			current.Store(peer)
		}
		return err
	}
	return &client{meter: report.Of("peerpool", t), name: "peerpool", ca: ca, use: use}
}

// newNetHTTP returns a client on net/http that rotates certificates in the recommended way: it asks for a certificate whenever
// it opens a connection. Open connections keep their certificate.
func newNetHTTP(ca *certs.CA) *client {
	var current atomic.Pointer[tls.Certificate]
	t := &http.Transport{
		TLSClientConfig: &tls.Config{
			RootCAs: ca.Pool(),
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				return current.Load(), nil
			},
		},
		ForceAttemptHTTP2: true,
	}
	use := func(cert tls.Certificate) error {
		current.Store(&cert)
		return nil
	}
	return &client{meter: report.Of("net/http", t), name: "net-http", ca: ca, use: use}
}

// user returns the name in the client's nth certificate.
func (c *client) user(n int) string { return fmt.Sprintf("%s-%d", c.name, n) }

// rotate makes the client use its nth certificate.
func (c *client) rotate(n int) error {
	cert, err := c.ca.Client(c.user(n), "system:masters")
	if err != nil {
		return err
	}
	return c.use(cert)
}

// connect makes client-go use another RoundTripper. TLSClientConfig must be empty then, because the RoundTripper has the roots
// and the certificates.
func (c *client) connect(url string) (dynamic.Interface, error) {
	return dynamic.NewForConfig(&rest.Config{
		Host:      url,
		Transport: c.meter,
		QPS:       -1, // no limit on the client's side
	})
}
