// Package tlsid turns a *tls.Config into a comparable fingerprint. With it, connections are shared only between
// configurations that would have made the same connection.
//
// The fingerprint is a SHA-256 over a tagged and length-prefixed encoding of every field that a client uses. The table
// in fields.go says for each field of tls.Config how it is compared, or why it is not. Some values have no contents to
// compare: functions, readers, writers, private keys in hardware, and root pools with constraints. These are compared
// by the object that they are, through a serial number that the package gives out once and never again. If the package
// forgets such a number, two connections may be kept apart, but never brought together.
//
// The steps, file by file:
//
//	id.go       Of: configuration in, fingerprint out
//	fields.go   the table of the fields of tls.Config
//	cert.go     Certificate: a certificate chain and the key that proves it
//	roots.go    Roots: a set of trust roots
//	object.go   serial numbers for objects that have no contents to compare
//	encode.go   the encoding under the hash
package tlsid

import "crypto/tls"

// ID is the fingerprint of a client's TLS configuration. Compare IDs with ==. Two IDs are equal if the configurations
// would make connections of the same security. The zero ID is the fingerprint of no configuration, and stands for a
// connection without TLS. An ID has a meaning only within its process, so do not store it. It keeps nothing alive.
type ID [32]byte

// configs numbers the origins of configurations whose functions have no contents to compare.
var configs objects[tls.Config]

// Of returns the fingerprint of cfg. The result is not the zero ID. A nil cfg means a configuration with nothing set.
//
// Of reads the fields from cfg. If any field that counts is a function, a reader or a writer, the fingerprint also
// depends on which object origin is. origin is the configuration as its owner handed it over, and cfg may be a copy of
// it that was made for one connection. A nil origin means cfg itself. If such a function is replaced in an origin that
// was used before, Of notices that the code differs. It does not notice that two closures of the same code have
// captured different values, but crypto/tls forbids that change anyway.
//
// A caller that adds functions of its own should set them after Of, and compare what they depend on itself.
//
// Of calls no method of anything in cfg. It is safe for concurrent use, as long as no goroutine writes to cfg or to its
// root pool meanwhile.
func Of(cfg, origin *tls.Config) ID {
	if cfg == nil {
		cfg = &tls.Config{}
	}
	if origin == nil {
		origin = cfg
	}
	e := newEncoder("tls.Config")
	for _, f := range fields {
		if f.in != nil {
			e.string(f.name)
			f.in(e, cfg)
		}
	}
	if e.tied {
		e.uint(configs.serial(origin))
	}
	return e.sum()
}
