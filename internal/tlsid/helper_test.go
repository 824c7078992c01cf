package tlsid

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"runtime"
	"testing"
	"time"
)

// newKey returns a new private key.
func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newRSAKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// selfSigned returns a CA certificate with a serial number of the test's choice.
func selfSigned(t testing.TB, serial int64, key crypto.Signer) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(serial),
		Subject:               pkix.Name{CommonName: "the same name for all"},
		NotAfter:              time.Now().Add(time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// newCA returns a CA certificate that nothing else equals.
func newCA(t testing.TB) *x509.Certificate { return selfSigned(t, 1, newKey(t)) }

// newCertificate returns a credential that nothing else equals.
func newCertificate(t testing.TB) tls.Certificate {
	key := newKey(t)
	return tls.Certificate{Certificate: [][]byte{selfSigned(t, 1, key).Raw}, PrivateKey: key}
}

func poolOf(certs ...*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, cert := range certs {
		pool.AddCert(cert)
	}
	return pool
}

// own is the fingerprint of a configuration that is its own origin.
func own(cfg *tls.Config) ID { return Of(cfg, cfg) }

// same returns what f returns, twice in a row.
func same[T comparable](t *testing.T, f func() T) T {
	t.Helper()
	first := f()
	if f() != first {
		t.Error("the second call returned something else than the first")
	}
	return first
}

// collectUntil runs the garbage collector until done; the test's time limit ends what never is.
func collectUntil(done func() bool) {
	for !done() {
		runtime.GC()
	}
}

func (t *objects[T]) size() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.serials)
}

func (t *rootTable) size() (sets, held int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.sets), len(t.held)
}
