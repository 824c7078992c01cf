package httptestutil_test

import (
	"crypto/tls"
	"errors"
	"net"
	"testing"
	"time"

	"crypto/x509"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// shake serves cert to a client with that configuration and returns the
// client's error.
func shake(t *testing.T, cert tls.Certificate, cfg *tls.Config) error {
	t.Helper()
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{
		TLS: &tls.Config{Certificates: []tls.Certificate{cert}},
	})
	_, _, err := tryGet(t, newClient(t, cfg), o.URL())
	return err
}

func TestAServerCertificateIsGoodForLoopbackAndForItsNames(t *testing.T) {
	ca := httptestutil.NewCA(t)
	if err := shake(t, ca.Server(), &tls.Config{RootCAs: ca.Pool()}); err != nil {
		t.Errorf("default certificate: %v", err)
	}
	cfg := &tls.Config{RootCAs: ca.Pool(), ServerName: "other.test"}
	if err := shake(t, ca.Server("other.test", "10.0.0.1"), cfg); err != nil {
		t.Errorf("named certificate: %v", err)
	}
	var mismatch x509.HostnameError
	if err := shake(t, ca.Server("10.0.0.1"), cfg); !errors.As(err, &mismatch) {
		t.Errorf("certificate for another name: got %v, want a HostnameError", err)
	}
}

func TestCertificatesOutsideTheirTimeAreRefused(t *testing.T) {
	ca := httptestutil.NewCA(t)
	now := time.Now()
	for name, opts := range map[string]httptestutil.CertOptions{
		"expired":       {NotAfter: now.Add(-time.Hour)},
		"not yet valid": {NotBefore: now.Add(time.Hour)},
	} {
		var invalid x509.CertificateInvalidError
		err := shake(t, ca.Issue(opts), &tls.Config{RootCAs: ca.Pool()})
		if !errors.As(err, &invalid) || invalid.Reason != x509.Expired {
			t.Errorf("%s: got %v, want a CertificateInvalidError for its time", name, err)
		}
	}
}

func TestAnIntermediatesCertificatesVerifyAgainstTheRoot(t *testing.T) {
	ca := httptestutil.NewCA(t)
	below := ca.Intermediate("below").Intermediate("further below")
	cert := below.Server()
	wantEqual(t, "certificates in the chain", len(cert.Certificate), 3)
	if err := shake(t, cert, &tls.Config{RootCAs: ca.Pool()}); err != nil {
		t.Error(err)
	}
	if !below.Pool().Equal(ca.Pool()) {
		t.Error("an intermediate's pool is not its root's")
	}
}

func TestACertificateOfAnotherAuthorityIsRefused(t *testing.T) {
	ca, other := httptestutil.NewCA(t), httptestutil.NewCA(t)
	var unknown x509.UnknownAuthorityError
	if err := shake(t, other.Server(), &tls.Config{RootCAs: ca.Pool()}); !errors.As(err, &unknown) {
		t.Errorf("another authority's: got %v, want an UnknownAuthorityError", err)
	}
	self := httptestutil.SelfSigned(t, httptestutil.CertOptions{})
	if err := shake(t, self, &tls.Config{RootCAs: ca.Pool()}); !errors.As(err, &unknown) {
		t.Errorf("self-signed: got %v, want an UnknownAuthorityError", err)
	}
}

func TestTwoAuthoritiesCanUseTheSameSerialNumber(t *testing.T) {
	opts := httptestutil.CertOptions{CommonName: "tenant", Serial: 7, Client: true}
	a, b := httptestutil.NewCA(t).Issue(opts), httptestutil.NewCA(t).Issue(opts)
	wantEqual(t, "serials compared", a.Leaf.SerialNumber.Cmp(b.Leaf.SerialNumber), 0)
	if a.Leaf.Equal(b.Leaf) {
		t.Error("the certificates are the same")
	}
}

func TestCertificatesDrawTheirOwnSerialNumbersAndKeepTheirAddresses(t *testing.T) {
	ca := httptestutil.NewCA(t)
	opts := httptestutil.CertOptions{IPs: []net.IP{net.IPv6loopback}}
	a, b := ca.Issue(opts), ca.Issue(opts)
	if a.Leaf.SerialNumber.Cmp(b.Leaf.SerialNumber) == 0 {
		t.Error("two certificates have the same serial number")
	}
	wantEqual(t, "addresses", len(a.Leaf.IPAddresses), 1)
	wantEqual(t, "names", len(a.Leaf.DNSNames), 0)
}

func TestAClientCertificateDoesNotServe(t *testing.T) {
	ca := httptestutil.NewCA(t)
	cert := ca.Issue(httptestutil.CertOptions{Client: true, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}})
	if err := shake(t, cert, &tls.Config{RootCAs: ca.Pool()}); err == nil {
		t.Error("a client's certificate was taken for a server's")
	}
}
