package peerpool

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/peerpool/peerpool/internal/tlsid"
)

// Identity is everything that two requests must have in common to share a connection. It is comparable,
// and compared in full: a connection serves a request if and only if their Identities are equal.
//
//	in it                                  as
//	network, IP:port (with zone) or path   what is connected to; a name where a dialer or a proxy resolves it
//	scheme                                 http or https
//	SNI                                    the name sent, and the name verified unless the next says otherwise
//	alternative name                       PeerOptions.AlternativeName
//	verification flags                     PeerOptions.SkipVerify, SkipHostnameVerify, tls.Config.InsecureSkipVerify
//	trust roots                            by contents
//	client certificate                     SHA-256 of its chain and key; a GetClientCertificate function by its tls.Config
//	TLS versions, ciphers, curves, ALPN    and every other field of tls.Config that changes what a connection is
//	proxy                                  URL with credentials, CONNECT headers, and the target of a tunnel
//	local address                          PeerOptions.LocalAddr, or the LocalAddr of Transport.Dialer
//	Group                                  PeerOptions.Group
//
// Not in it, because they end with the request or the connection rather than say who is at its other end:
// time limits, caps on reuse and age, buffer sizes, headers, the Host field. The dial functions of a
// Transport and the rest of its Dialer are not in it either: a Transport has one of each, and its pool is its own.
type Identity struct {
	network         string // "tcp" or "unix"
	address         string // "192.0.2.1:443", "/path", or host:port
	scheme          string // "http" or "https"
	serverName      string
	alternativeName string
	skipVerify      bool
	skipHostname    bool
	tls             tlsid.ID // zero without TLS
	certificate     [32]byte // zero without one
	proxy           string   // URL without credentials
	proxySecret     [32]byte // digest of credentials, CONNECT headers, and the TLS settings of the hop
	target          string   // host:port that the tunnel leads to
	priorHTTP2      bool     // HTTP/2 without TLS; with TLS the ALPN offered is part of tls
	local           string
	group           string
}

// Network returns "tcp" or "unix".
func (id Identity) Network() string { return id.network }

// Address returns the IP:port or path that is connected to. It is host:port where a custom dialer or a
// proxy resolves names, and a proxy's address if there is one.
func (id Identity) Address() string { return id.address }

// Scheme returns "http" or "https".
func (id Identity) Scheme() string { return id.scheme }

// ServerName returns the name sent to the server with TLS (SNI), or "".
func (id Identity) ServerName() string { return id.serverName }

// Proxy returns the proxy's URL without its credentials, or "".
func (id Identity) Proxy() string { return id.proxy }

// Target returns the host:port that a tunnel through the proxy leads to, or "".
func (id Identity) Target() string { return id.target }

// Group returns the PeerOptions.Group of the connection.
func (id Identity) Group() string { return id.group }

// String describes the identity in short, for logs. It shows no secret. Identities that differ only in what
// is not shown have equal strings. A value that could be mistaken for something else is quoted as in Go: one with a
// space, an equals sign, a quotation mark, a backslash, or a character that is not printed.
func (id Identity) String() string {
	var b strings.Builder
	if id.network == "unix" {
		b.WriteString("unix:")
	}
	fmt.Fprintf(&b, "%s://%s", id.scheme, quoted(id.address))
	for _, part := range []struct{ name, value string }{
		{"via", id.proxy},
		{"target", id.target},
		{"sni", id.serverName},
		{"alt", id.alternativeName},
		{"cert", short(id.certificate)},
		{"local", id.local},
		{"group", id.group},
	} {
		if part.value != "" {
			fmt.Fprintf(&b, " %s=%s", part.name, quoted(part.value))
		}
	}
	switch {
	case id.skipVerify:
		b.WriteString(" insecure")
	case id.skipHostname:
		b.WriteString(" any-name")
	}
	return b.String()
}

// quoted returns a value as String shows it.
func quoted(value string) string {
	mistakable := func(r rune) bool {
		return r == ' ' || r == '=' || r == '"' || r == '\\' || r == utf8.RuneError || !unicode.IsPrint(r)
	}
	if strings.ContainsFunc(value, mistakable) {
		return strconv.Quote(value)
	}
	return value
}

// GoString returns what String returns, so that no way of printing shows the digests of secrets.
func (id Identity) GoString() string { return id.String() }

// MarshalText returns what String returns, so that [Stats.Peers] goes through JSON. Identities that differ only
// in what String does not show come out under the same name there.
func (id Identity) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// short returns the first digits of a digest, or nothing for none.
func short(digest [32]byte) string {
	if digest == ([32]byte{}) {
		return ""
	}
	return fmt.Sprintf("%x", digest[:4])
}

// sessionPrefix sets the TLS sessions of an identity apart from all others: equal prefixes mean equal
// identities, as each field is quoted before it is hashed.
func (id Identity) sessionPrefix() string {
	type fields Identity // without its methods: %#v quotes each field
	return fmt.Sprintf("%x ", sha256.Sum256(fmt.Appendf(nil, "%#v", fields(id))))
}
