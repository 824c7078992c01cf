package tlsid

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math"
	"math/big"
	"testing"
)

// sameKeyElsewhere returns another object with the contents of key.
func sameKeyElsewhere(t *testing.T, key crypto.PrivateKey) crypto.PrivateKey {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestCertificatesOfTwoCAsWithTheSameSerialNumberDiffer(t *testing.T) {
	key := newKey(t)
	one, other := selfSigned(t, 7, newKey(t)), selfSigned(t, 7, newKey(t))
	if one.SerialNumber.Cmp(other.SerialNumber) != 0 || one.Subject.String() != other.Subject.String() {
		t.Fatal("this test wants two certificates that differ in their key alone")
	}
	a := &tls.Certificate{Certificate: [][]byte{one.Raw}, PrivateKey: key}
	b := &tls.Certificate{Certificate: [][]byte{other.Raw}, PrivateKey: key}
	if Certificate(a) == Certificate(b) {
		t.Error("the digest is that of the serial number")
	}
}

func TestNoCertificateHasTheZeroDigestAndAnyOtherHasNot(t *testing.T) {
	if Certificate(nil) != ([32]byte{}) || Certificate(&tls.Certificate{}) == ([32]byte{}) {
		t.Error("the zero digest must mean no certificate")
	}
}

func TestEveryPartOfACredentialCounts(t *testing.T) {
	base := newCertificate(t)
	other := newCertificate(t)
	seen := map[[32]byte]string{Certificate(&base): "the base"}
	for name, change := range map[string]func(*tls.Certificate){
		"a longer chain":      func(c *tls.Certificate) { c.Certificate = [][]byte{c.Certificate[0], other.Certificate[0]} },
		"another issuer":      func(c *tls.Certificate) { c.Certificate = [][]byte{c.Certificate[0], c.Certificate[0]} },
		"another split":       func(c *tls.Certificate) { c.Certificate = [][]byte{c.Certificate[0][:9], c.Certificate[0][9:]} },
		"yet another split":   func(c *tls.Certificate) { c.Certificate = [][]byte{c.Certificate[0][:8], c.Certificate[0][8:]} },
		"another chain":       func(c *tls.Certificate) { c.Certificate = other.Certificate },
		"another key":         func(c *tls.Certificate) { c.PrivateKey = other.PrivateKey },
		"no key":              func(c *tls.Certificate) { c.PrivateKey = nil },
		"no algorithms":       func(c *tls.Certificate) { c.SupportedSignatureAlgorithms = []tls.SignatureScheme{} },
		"one algorithm":       func(c *tls.Certificate) { c.SupportedSignatureAlgorithms = []tls.SignatureScheme{tls.Ed25519} },
		"an OCSP staple":      func(c *tls.Certificate) { c.OCSPStaple = []byte{1} },
		"a timestamp":         func(c *tls.Certificate) { c.SignedCertificateTimestamps = [][]byte{{1}} },
		"two timestamps":      func(c *tls.Certificate) { c.SignedCertificateTimestamps = [][]byte{{1}, {1}} },
		"one longer of these": func(c *tls.Certificate) { c.SignedCertificateTimestamps = [][]byte{{1, 1}} },
	} {
		changed := base
		change(&changed)
		digest := Certificate(&changed)
		if same, ok := seen[digest]; ok {
			t.Errorf("%s has the digest of %s", name, same)
		}
		seen[digest] = name
	}
}

func TestTheParsedLeafDoesNotCount(t *testing.T) {
	cert := newCertificate(t)
	before := Certificate(&cert)
	cert.Leaf, _ = x509.ParseCertificate(cert.Certificate[0])
	if Certificate(&cert) != before {
		t.Error("parsing the leaf changed the digest")
	}
}

func TestKeysOfTheStandardLibraryCountByTheirContents(t *testing.T) {
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	wide, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[[32]byte]bool{}
	keys := []crypto.PrivateKey{edwards, newKey(t), newKey(t), wide, newRSAKey(t), newRSAKey(t)}
	for _, key := range keys {
		here, elsewhere := &tls.Certificate{PrivateKey: key}, &tls.Certificate{PrivateKey: sameKeyElsewhere(t, key)}
		if Certificate(here) != Certificate(elsewhere) {
			t.Errorf("two %T of the same contents differ", key)
		}
		seen[Certificate(here)] = true
	}
	if len(seen) != len(keys) {
		t.Errorf("%d keys have %d digests", len(keys), len(seen))
	}
}

// token is a key whose contents are elsewhere.
type token struct {
	crypto.Signer
	slot float64
}

// list is a key that Go cannot compare.
type list []byte

func (list) Public() crypto.PublicKey                                  { return nil }
func (list) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, io.EOF }

func TestForeignKeysCountByWhichValueTheyAre(t *testing.T) {
	digest := func(key crypto.PrivateKey) [32]byte {
		return same(t, func() [32]byte { return Certificate(&tls.Certificate{PrivateKey: key}) })
	}
	one, other := &token{slot: 1}, &token{slot: 1}
	if digest(one) == digest(other) {
		t.Error("a pointer must be equal to itself alone")
	}
	if digest(token{slot: 1}) == digest(token{slot: 2}) {
		t.Error("two values that differ are taken for the same")
	}
}

func TestKeysThatCannotBeComparedCountByTheirCertificate(t *testing.T) {
	for _, key := range []crypto.PrivateKey{list("a"), token{slot: math.NaN()}, token{Signer: list("b")}} {
		one, other := &tls.Certificate{PrivateKey: key}, &tls.Certificate{PrivateKey: key}
		digest := same(t, func() [32]byte { return Certificate(one) })
		if digest == Certificate(other) {
			t.Errorf("two certificates with %T are equal", key)
		}
	}
}

func TestIncompleteKeysAreToldApartWithoutAPanic(t *testing.T) {
	whole := newKey(t)
	keys := []crypto.PrivateKey{
		(*ecdsa.PrivateKey)(nil), &ecdsa.PrivateKey{}, &ecdsa.PrivateKey{PublicKey: whole.PublicKey},
		(*rsa.PrivateKey)(nil), &rsa.PrivateKey{}, &rsa.PrivateKey{D: big.NewInt(1)}, ed25519.PrivateKey(nil),
		&rsa.PrivateKey{PublicKey: rsa.PublicKey{N: big.NewInt(15)}, D: big.NewInt(3), Primes: []*big.Int{nil}},
	}
	seen := map[[32]byte]bool{}
	for _, key := range keys {
		seen[Certificate(&tls.Certificate{PrivateKey: key})] = true
	}
	if len(seen) != len(keys) {
		t.Errorf("%d keys have %d digests", len(keys), len(seen))
	}
}

func TestForeignKeysAreForgottenOldestFirstAndNeverConfused(t *testing.T) {
	var table values
	first := table.serial(-1)
	seen := map[uint64]bool{first: true}
	for i := range 2 * maxValues {
		seen[table.serial(i)] = true
	}
	if len(table.serials) != maxValues || len(table.ring) != maxValues {
		t.Errorf("the table holds %d values, %d in order; want %d", len(table.serials), len(table.ring), maxValues)
	}
	if len(seen) != 1+2*maxValues {
		t.Errorf("%d values had %d numbers", 1+2*maxValues, len(seen))
	}
	if newest := 2*maxValues - 1; !seen[table.serial(newest)] {
		t.Error("the newest was forgotten")
	}
	if seen[table.serial(-1)] {
		t.Error("a forgotten value came back to a number that was given out")
	}
}
