package peerpool_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"time"

	"github.com/peerpool/peerpool"
)

// hello is the server that the examples talk to.
func hello() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "hello")
	}))
}

// get returns the page at a URL, or the text of the error.
func get(client *http.Client, url string) string { return getAs(client, nil, url) }

// getAs is get from a peer.
func getAs(client *http.Client, peer *peerpool.Peer, url string) string {
	ctx := peerpool.WithPeer(context.Background(), peer)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err.Error()
	}
	return do(client, req)
}

// do returns what a request gets, or what went wrong without the address, which differs each time.
func do(client *http.Client, req *http.Request) string {
	resp, err := client.Do(req)
	if err != nil {
		return withoutAddress(err).Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return string(body)
}

func withoutAddress(err error) error {
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &certificate) {
		return certificate.Err
	}
	var failed *url.Error
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}

// clientCertificates keeps what clientCertificate has made.
var clientCertificates = make(map[string]tls.Certificate)

// clientCertificate returns a self-signed client certificate. The server does not need to know it here.
func clientCertificate(name string) tls.Certificate {
	if made, ok := clientCertificates[name]; ok {
		return made
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: name},
		NotAfter:     time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	made := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	clientCertificates[name] = made
	return made
}
