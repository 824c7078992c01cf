package tlsid

import "crypto/tls"

// field says how one field of tls.Config enters the fingerprint, or why it does not.
type field struct {
	name string
	in   func(*encoder, *tls.Config) // nil if the field does not enter
	out  string                      // why it does not
}

const serverOnly = "only a server uses it"

// fields classifies every exported field of tls.Config, in the order of tls.Config. A test fails if the two differ.
// Fields are compared as they are set. The defaults that crypto/tls uses for zero values do not count, because they
// depend on GODEBUG. Nil and empty differ only if crypto/tls distinguishes them.
var fields = []field{
	// A connection is only as secret as the randomness behind its keys.
	{name: "Rand", in: func(e *encoder, c *tls.Config) { e.object(c.Rand) }},
	// The clock decides which certificates are expired.
	{name: "Time", in: func(e *encoder, c *tls.Config) { e.function(c.Time) }},
	// The order counts: crypto/tls sends the first chain that the server accepts.
	{name: "Certificates", in: func(e *encoder, c *tls.Config) {
		e.uint(uint64(len(c.Certificates)))
		for i := range c.Certificates {
			e.digest(Certificate(&c.Certificates[i]))
		}
	}},
	{name: "NameToCertificate", out: serverOnly},
	{name: "GetCertificate", out: serverOnly},
	{name: "GetClientCertificate", in: func(e *encoder, c *tls.Config) { e.function(c.GetClientCertificate) }},
	{name: "GetConfigForClient", out: serverOnly},
	{name: "VerifyPeerCertificate", in: func(e *encoder, c *tls.Config) { e.function(c.VerifyPeerCertificate) }},
	{name: "VerifyConnection", in: func(e *encoder, c *tls.Config) { e.function(c.VerifyConnection) }},
	{name: "RootCAs", in: func(e *encoder, c *tls.Config) { e.uint(Roots(c.RootCAs)) }},
	{name: "NextProtos", in: func(e *encoder, c *tls.Config) {
		e.uint(uint64(len(c.NextProtos)))
		for _, proto := range c.NextProtos {
			e.string(proto)
		}
	}},
	{name: "ServerName", in: func(e *encoder, c *tls.Config) { e.string(c.ServerName) }},
	{name: "ClientAuth", out: serverOnly},
	{name: "ClientCAs", out: serverOnly},
	{name: "InsecureSkipVerify", in: func(e *encoder, c *tls.Config) { e.bool(c.InsecureSkipVerify) }},
	// Nil means the default suites, and empty means none. The order is ignored.
	{name: "CipherSuites", in: func(e *encoder, c *tls.Config) {
		e.bool(c.CipherSuites != nil)
		set(e, c.CipherSuites)
	}},
	{name: "PreferServerCipherSuites", out: "crypto/tls ignores it"},
	{name: "SessionTicketsDisabled", in: func(e *encoder, c *tls.Config) { e.bool(c.SessionTicketsDisabled) }},
	{name: "SessionTicketKey", out: serverOnly},
	{name: "ClientSessionCache", out: "each identity has a session cache of its own, so no session passes from one to another"},
	{name: "UnwrapSession", out: serverOnly},
	{name: "WrapSession", out: serverOnly},
	{name: "MinVersion", in: func(e *encoder, c *tls.Config) { e.uint(uint64(c.MinVersion)) }},
	{name: "MaxVersion", in: func(e *encoder, c *tls.Config) { e.uint(uint64(c.MaxVersion)) }},
	// Empty means the default groups, as nil does. The order is ignored.
	{name: "CurvePreferences", in: func(e *encoder, c *tls.Config) { set(e, c.CurvePreferences) }},
	// This shows the lengths of what is written to anyone on the path.
	{name: "DynamicRecordSizingDisabled", in: func(e *encoder, c *tls.Config) { e.bool(c.DynamicRecordSizingDisabled) }},
	{name: "Renegotiation", in: func(e *encoder, c *tls.Config) { e.uint(uint64(c.Renegotiation)) }},
	// Anyone who reads what this writer gets can read the connection.
	{name: "KeyLogWriter", in: func(e *encoder, c *tls.Config) { e.object(c.KeyLogWriter) }},
	// Nil means no Encrypted Client Hello, and empty means a handshake that fails.
	{name: "EncryptedClientHelloConfigList", in: func(e *encoder, c *tls.Config) {
		e.bool(c.EncryptedClientHelloConfigList != nil)
		e.bytes(c.EncryptedClientHelloConfigList)
	}},
	{name: "EncryptedClientHelloRejectionVerify", in: func(e *encoder, c *tls.Config) {
		e.function(c.EncryptedClientHelloRejectionVerify)
	}},
	{name: "GetEncryptedClientHelloKeys", out: serverOnly},
	{name: "EncryptedClientHelloKeys", out: serverOnly},
}
