package httptestutil

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"testing"
	"time"
)

// CA is a certificate authority in memory. Its keys are ECDSA P-256 keys,
// each of which takes well under a millisecond to generate. A CA is safe for
// concurrent use.
type CA struct {
	t     testing.TB
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	chain [][]byte // this authority and those above it, without the root
	root  *x509.Certificate
}

// CertOptions describes a certificate to issue. The zero value describes a
// server certificate for loopback: 127.0.0.1, ::1, localhost, example.test
// and *.example.test.
type CertOptions struct {
	// CommonName is the common name of the certificate's subject.
	// [Seen.ClientCN] shows it.
	CommonName string
	// DNSNames are the names that the certificate is for. If DNSNames and IPs
	// are both empty, a server certificate is for loopback, and a client
	// certificate is for no name.
	DNSNames []string
	// IPs are the addresses that the certificate is for.
	IPs []net.IP
	// NotBefore and NotAfter are the limits of the certificate's validity.
	// The zero values mean 31 December 1999 and 31 December 2099, so that a
	// certificate is valid in a testing/synctest bubble, whose clock starts
	// in the year 2000.
	NotBefore, NotAfter time.Time
	// Serial is the serial number. If it is 0, the number consists of 120
	// random bits. Two authorities may use the same serial number.
	Serial int64
	// Client, if true, makes the certificate one for clients. Otherwise it is
	// one for servers.
	Client bool
}

// NewCA returns a new authority with a self-signed root of its own.
func NewCA(t testing.TB) *CA {
	t.Helper()
	key := newKey(t)
	tmpl := template(t, CertOptions{CommonName: "httptestutil root"})
	asAuthority(tmpl)
	cert := sign(t, tmpl, tmpl, &key.PublicKey, key)
	return &CA{t: t, cert: cert, key: key, root: cert}
}

// Intermediate returns an authority whose certificate ca has signed. The
// certificates that it issues carry the chain up to the root, but not the
// root itself. Its Pool is that of the root.
func (ca *CA) Intermediate(commonName string) *CA {
	ca.t.Helper()
	key := newKey(ca.t)
	tmpl := template(ca.t, CertOptions{CommonName: commonName})
	asAuthority(tmpl)
	cert := sign(ca.t, tmpl, ca.cert, &key.PublicKey, ca.key)
	return &CA{
		t:     ca.t,
		cert:  cert,
		key:   key,
		chain: append([][]byte{cert.Raw}, ca.chain...),
		root:  ca.root,
	}
}

// Issue returns a certificate signed by ca. Its key, its chain and its Leaf
// are set.
func (ca *CA) Issue(opts CertOptions) tls.Certificate {
	ca.t.Helper()
	key := newKey(ca.t)
	leaf := sign(ca.t, leafTemplate(ca.t, opts), ca.cert, &key.PublicKey, ca.key)
	return tls.Certificate{
		Certificate: append([][]byte{leaf.Raw}, ca.chain...),
		PrivateKey:  key,
		Leaf:        leaf,
	}
}

// Server returns a server certificate for names, each a DNS name or an IP
// address. Without names, the certificate is for the names of the zero
// [CertOptions].
func (ca *CA) Server(names ...string) tls.Certificate {
	ca.t.Helper()
	var opts CertOptions
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			opts.IPs = append(opts.IPs, ip)
		} else {
			opts.DNSNames = append(opts.DNSNames, name)
		}
	}
	return ca.Issue(opts)
}

// Client returns a client certificate with the given common name.
func (ca *CA) Client(commonName string) tls.Certificate {
	ca.t.Helper()
	return ca.Issue(CertOptions{CommonName: commonName, Client: true})
}

// Pool returns a new pool that holds only ca's root.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.root)
	return pool
}

// Certificate returns ca's own certificate. It must not be modified.
func (ca *CA) Certificate() *x509.Certificate { return ca.cert }

// SelfSigned returns a certificate that no authority has signed.
func SelfSigned(t testing.TB, opts CertOptions) tls.Certificate {
	t.Helper()
	key := newKey(t)
	tmpl := leafTemplate(t, opts)
	leaf := sign(t, tmpl, tmpl, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("httptestutil: generating a key: %v", err)
	}
	return key
}

func sign(t testing.TB, tmpl, parent *x509.Certificate, pub *ecdsa.PublicKey, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, pub, key)
	if err != nil {
		t.Fatalf("httptestutil: signing a certificate: %v", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatalf("httptestutil: reading back a certificate: %v", err)
	}
	return cert
}

func template(t testing.TB, opts CertOptions) *x509.Certificate {
	t.Helper()
	serial := big.NewInt(opts.Serial)
	if opts.Serial == 0 {
		var err error
		serial, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
		if err != nil {
			t.Fatalf("httptestutil: drawing a serial number: %v", err)
		}
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: opts.CommonName},
		DNSNames:     opts.DNSNames,
		IPAddresses:  opts.IPs,
		NotBefore:    opts.NotBefore,
		NotAfter:     opts.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
	if tmpl.NotBefore.IsZero() {
		tmpl.NotBefore = time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC)
	}
	if tmpl.NotAfter.IsZero() {
		tmpl.NotAfter = time.Date(2099, 12, 31, 0, 0, 0, 0, time.UTC)
	}
	return tmpl
}

func leafTemplate(t testing.TB, opts CertOptions) *x509.Certificate {
	t.Helper()
	if !opts.Client && len(opts.DNSNames) == 0 && len(opts.IPs) == 0 {
		opts.DNSNames = []string{"localhost", "example.test", "*.example.test"}
		opts.IPs = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	}
	tmpl := template(t, opts)
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	if opts.Client {
		tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	return tmpl
}

func asAuthority(tmpl *x509.Certificate) {
	tmpl.IsCA = true
	tmpl.BasicConstraintsValid = true
	tmpl.KeyUsage |= x509.KeyUsageCertSign
}
