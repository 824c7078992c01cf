package httptestutil_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// One client trusts the origin's authority, and another does not.
func ExampleNewCA() {
	runExample(func(t testing.TB) {
		origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
		for _, ca := range []*httptestutil.CA{origin.CA(), httptestutil.NewCA(t)} {
			transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool()}}
			defer transport.CloseIdleConnections()
			fmt.Println(outcome(&http.Client{Transport: transport}, origin.URL()))
		}
	})
	// Output:
	// answered
	// failed
}

// The certificate is for another name than the one in the URL.
func ExampleCA_Server() {
	runExample(func(t testing.TB) {
		ca := httptestutil.NewCA(t)
		origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{
			CA:  ca,
			TLS: &tls.Config{Certificates: []tls.Certificate{ca.Server("a.test")}},
		})
		transport := &http.Transport{TLSClientConfig: origin.ClientTLS(), DialContext: origin.Dial}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport}
		fmt.Println(outcome(client, "https://a.test/"))
		fmt.Println(fetch(client, "https://b.test/"))
	})
	// Output:
	// answered
	// no answer: tls: failed to verify certificate: x509: certificate is valid for a.test, not b.test
}

// The origin asks its clients for a certificate.
func ExampleCA_Client() {
	runExample(func(t testing.TB) {
		ca := httptestutil.NewCA(t)
		origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{
			CA: ca, TLS: &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert},
		})
		config := origin.ClientTLS()
		config.Certificates = []tls.Certificate{ca.Client("tenant-a")}
		transport := &http.Transport{TLSClientConfig: config}
		defer transport.CloseIdleConnections()
		resp, err := (&http.Client{Transport: transport}).Get(origin.URL())
		if err != nil {
			t.Fatalf("GET: %v", err)
		}
		fmt.Println(httptestutil.ReadSeen(t, resp).ClientCN)
	})
	// Output: tenant-a
}

// The certificate has expired.
func ExampleCA_Issue() {
	runExample(func(t testing.TB) {
		ca := httptestutil.NewCA(t)
		expired := ca.Issue(httptestutil.CertOptions{NotAfter: time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)})
		origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{
			CA: ca, TLS: &tls.Config{Certificates: []tls.Certificate{expired}},
		})
		_, err := (&http.Client{Transport: &http.Transport{TLSClientConfig: origin.ClientTLS()}}).Get(origin.URL())
		invalid, ok := errors.AsType[x509.CertificateInvalidError](err)
		fmt.Println(ok, ok && invalid.Reason == x509.Expired)
	})
	// Output: true true
}

// The server sends a chain of two certificates. The client knows only the
// root.
func ExampleCA_Intermediate() {
	runExample(func(t testing.TB) {
		root := httptestutil.NewCA(t)
		origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: root.Intermediate("issuing authority")})
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: root.Pool()}}
		defer transport.CloseIdleConnections()
		resp, err := (&http.Client{Transport: transport}).Get(origin.URL())
		if err != nil {
			t.Fatalf("GET: %v", err)
		}
		resp.Body.Close()
		fmt.Println(len(resp.TLS.PeerCertificates), "certificates, issued by", resp.TLS.PeerCertificates[0].Issuer.CommonName)
	})
	// Output: 2 certificates, issued by issuing authority
}

// No client trusts a self-signed certificate.
func ExampleSelfSigned() {
	runExample(func(t testing.TB) {
		self := httptestutil.SelfSigned(t, httptestutil.CertOptions{})
		origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{
			TLS: &tls.Config{Certificates: []tls.Certificate{self}},
		})
		_, err := (&http.Client{Transport: &http.Transport{}}).Get(origin.URL())
		_, unverified := errors.AsType[*tls.CertificateVerificationError](err)
		fmt.Println("refused by the client:", unverified)
	})
	// Output: refused by the client: true
}
