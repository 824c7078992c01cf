package tlsid

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"errors"
	"reflect"
	"strconv"
)

// Certificate returns a digest of the credential that cert proves, or the zero digest if cert is nil. The digest covers
// the DER of the whole chain, the private key, the signature algorithms that the key is restricted to, and what is
// stapled to the certificate. It does not cover Leaf, which repeats the start of the chain.
//
// The private key counts because a caller that has a certificate without its key must not get a connection that the key
// opened. Keys of crypto/rsa, crypto/ecdsa and crypto/ed25519 are compared by their contents. Any other key is compared
// with ==. If it is not comparable, two credentials are equal only if cert is the same object. Certificate calls no
// method of such another key.
//
// Certificate is safe for concurrent use, as long as no goroutine writes to cert meanwhile.
func Certificate(cert *tls.Certificate) [32]byte {
	if cert == nil {
		return [32]byte{}
	}
	e := newEncoder("tls.Certificate")
	e.uint(uint64(len(cert.Certificate)))
	for _, der := range cert.Certificate {
		e.bytes(der)
	}
	e.privateKey(cert)
	e.bool(cert.SupportedSignatureAlgorithms != nil) // nil means no restriction
	set(e, cert.SupportedSignatureAlgorithms)
	e.bytes(cert.OCSPStaple)
	e.uint(uint64(len(cert.SignedCertificateTimestamps)))
	for _, sct := range cert.SignedCertificateTimestamps {
		e.bytes(sct)
	}
	return e.sum()
}

func (e *encoder) privateKey(cert *tls.Certificate) {
	if cert.PrivateKey == nil {
		e.string("none")
		return
	}
	if kind, parts := keyContents(cert.PrivateKey); parts != nil {
		e.string(kind)
		e.uint(uint64(len(parts)))
		for _, part := range parts {
			e.bytes(part)
		}
		return
	}
	if v := reflect.ValueOf(cert.PrivateKey); v.Comparable() && v.Equal(v) { // a key that contains a NaN does not equal itself
		e.string("by value")
		e.uint(foreignKeys.serial(cert.PrivateKey))
		return
	}
	e.string("by certificate")
	e.uint(certificates.serial(cert))
}

// keyContents takes a key of the standard library apart. It returns no parts for any other key, or for a key that is
// incomplete.
func keyContents(key crypto.PrivateKey) (kind string, parts [][]byte) {
	switch key := key.(type) {
	case ed25519.PrivateKey:
		return "ed25519", [][]byte{key}
	case *ecdsa.PrivateKey:
		return "ecdsa", ecdsaContents(key)
	case *rsa.PrivateKey:
		return "rsa", rsaContents(key)
	}
	return "", nil
}

func ecdsaContents(key *ecdsa.PrivateKey) [][]byte {
	private, err := encodeOrFail(key)
	if err != nil {
		return nil
	}
	public, err := key.PublicKey.Bytes()
	if err != nil {
		return nil
	}
	return [][]byte{[]byte(key.Curve.Params().Name), public, private}
}

var errIncompleteKey = errors.New("tlsid: incomplete private key")

// encodeOrFail does what key.Bytes does, except that it returns an error instead of panicking if the key lacks its
// numbers. Such a key cannot sign, but the handshake should report that.
func encodeOrFail(key *ecdsa.PrivateKey) (private []byte, err error) {
	defer func() {
		if recover() != nil {
			err = errIncompleteKey
		}
	}()
	return key.Bytes()
}

func rsaContents(key *rsa.PrivateKey) [][]byte {
	if key == nil || key.N == nil || key.D == nil {
		return nil
	}
	const base = 36 // any base would do: text, unlike bytes, keeps the sign
	parts := [][]byte{key.N.Append(nil, base), key.D.Append(nil, base), strconv.AppendInt(nil, int64(key.E), base)}
	for _, prime := range key.Primes {
		if prime == nil {
			return nil
		}
		parts = append(parts, prime.Append(nil, base))
	}
	return parts
}

// certificates numbers the certificates whose keys are not comparable.
var certificates objects[tls.Certificate]

// foreignKeys numbers the private keys of types outside the standard library.
var foreignKeys values
