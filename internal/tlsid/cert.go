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

// Certificate returns a digest of the credential that cert proves, the zero digest for nil. It covers
// the DER of the whole chain, the private key, the signature algorithms it is restricted to and what
// is stapled to it, but not Leaf, which repeats the start of the chain.
//
// The private key counts because whoever has a certificate without its key must not get a connection
// that the key opened. Keys of crypto/rsa, crypto/ecdsa and crypto/ed25519 count by their contents,
// any other by being the same value in the sense of ==, and one that cannot be compared by cert being
// the same object. No method of such another key is called.
//
// Certificate is safe for concurrent use, as long as nobody writes to cert meanwhile.
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
	e.bool(cert.SupportedSignatureAlgorithms != nil) // nil: no restriction
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
	if v := reflect.ValueOf(cert.PrivateKey); v.Comparable() && v.Equal(v) { // a NaN in it equals nothing
		e.string("by value")
		e.uint(foreignKeys.serial(cert.PrivateKey))
		return
	}
	e.string("by certificate")
	e.uint(certificates.serial(cert))
}

// keyContents takes a key of the standard library apart. It returns no parts for any other key, and
// for one that is not complete.
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

// encodeOrFail is key.Bytes without its panic for a key that lacks its numbers. Such a key signs
// nothing, but it is for the handshake to say so.
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
	const base = 36 // any: it is the text that keeps the sign
	parts := [][]byte{key.N.Append(nil, base), key.D.Append(nil, base), strconv.AppendInt(nil, int64(key.E), base)}
	for _, prime := range key.Primes {
		if prime == nil {
			return nil
		}
		parts = append(parts, prime.Append(nil, base))
	}
	return parts
}

// certificates numbers the certificates whose key cannot be compared.
var certificates objects[tls.Certificate]

// foreignKeys numbers the private keys of types that only their makers know.
var foreignKeys values
