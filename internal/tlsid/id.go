// Package tlsid turns a *tls.Config into a comparable fingerprint, so that connections are shared only
// between configurations that would have made the same connection.
//
// The fingerprint is a SHA-256 over a tagged and length-prefixed encoding of every field that a client
// uses. The table in fields.go says for each field of tls.Config how it is compared or why it is not.
// What has no contents to compare (functions, readers, writers, private keys in hardware, root pools
// with constraints) is compared by the object it is, through a serial number that is given out once
// and never again. Forgetting such a number can only keep two connections apart, never bring them
// together.
//
// The walk, file by file:
//
//	id.go       Of: configuration in, fingerprint out
//	fields.go   the table of the fields of tls.Config
//	cert.go     Certificate: a certificate chain and the key that proves it
//	roots.go    Roots: a set of trust roots
//	object.go   serial numbers for objects that have no contents to compare
//	encode.go   the encoding under the hash
package tlsid

import "crypto/tls"

// ID is the fingerprint of a client's TLS configuration, comparable with ==. Two IDs are equal if the
// configurations would make connections of the same security. The zero ID is the fingerprint of no
// configuration and stands for a connection without TLS. An ID means something within its process
// only: it is not for storing, and it keeps nothing alive.
type ID [32]byte

// configs numbers the configurations whose functions tie them to the object they came with.
var configs objects[tls.Config]

// Of returns the fingerprint of cfg. It is not the zero ID; nil means a configuration with nothing set.
//
// The fields are read from cfg. If any of the fields that count is a function, a reader or a writer,
// the fingerprint also depends on which object origin is: the configuration as its owner handed it
// over, of which cfg may be a copy made for one connection. A nil origin means cfg itself. Replacing
// such a function in an origin that was used already is noticed where the code differs, but not where
// two closures of the same code differ in what they captured: crypto/tls forbids that anyway.
//
// Functions that the caller adds on its own account should be set after Of, and what they depend on
// compared by the caller.
//
// Of calls no method of anything in cfg. It is safe for concurrent use, as long as nobody writes to
// cfg or to its root pool meanwhile.
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
