package peerpool

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/peerpool/peerpool/internal/tlsid"
)

// Identity holds everything that two requests must have in common to share a connection. A connection serves a
// request if and only if their Identities are equal. An Identity is comparable with ==, which compares it in full.
//
//	part                 what it holds
//	network, address     IP:port with the zone, or the path of a socket; a name if a dial function or a proxy resolves it
//	scheme               http or https
//	server name          the name that is sent to the server (SNI) and verified in its certificate
//	alternative name     PeerOptions.AlternativeName
//	verification flags   PeerOptions.SkipVerify, SkipHostnameVerify, tls.Config.InsecureSkipVerify
//	trust roots          their contents
//	client certificate   SHA-256 of its chain and key, or the GetClientCertificate function of the tls.Config
//	other TLS settings   versions, ciphers, curves, ALPN, and every other field of tls.Config that changes a connection
//	proxy                URL with credentials, CONNECT headers, and the target of a tunnel
//	local address        PeerOptions.LocalAddr, or the LocalAddr of Transport.Dialer
//	group                PeerOptions.Group
//
// Time limits, limits on reuse and age, buffer sizes, headers and the Host header are not part of an Identity. They
// concern one request or one connection, and do not say who is at the other end. The dial functions of a Transport and
// the other settings of its Dialer are not part of it either, because each Transport has one set of them and its own
// pool.
type Identity struct {
	network         string // "tcp" or "unix"
	address         string // "192.0.2.1:443", "/path", or host:port
	scheme          string // "http" or "https"
	serverName      string
	alternativeName string
	skipVerify      bool
	skipHostname    bool
	tls             tlsid.ID // zero without TLS
	certificate     [32]byte // zero without a client certificate
	proxy           string   // URL without credentials
	proxySecret     [32]byte // digest of credentials, CONNECT headers, and the TLS settings of the hop
	target          string   // host:port that the tunnel leads to
	priorHTTP2      bool     // HTTP/2 without TLS; with TLS the ALPN offered is part of tls
	local           string
	group           string
}

// at returns the identity of one address of the host that id names. If addr is not valid, it returns id.
func (id Identity) at(addr netip.AddrPort) Identity {
	if addr.IsValid() {
		id.address = addr.String()
	}
	return id
}

// Network returns "tcp" or "unix".
func (id Identity) Network() string { return id.network }

// Address returns the IP:port or the path that the connection is opened to. If a custom dialer or a proxy resolves
// names, it is host:port. If there is a proxy, it is the address of the proxy.
func (id Identity) Address() string { return id.address }

// Scheme returns "http" or "https".
func (id Identity) Scheme() string { return id.scheme }

// ServerName returns the name that is sent to the server with TLS (SNI), or "" if there is none.
func (id Identity) ServerName() string { return id.serverName }

// Proxy returns the URL of the proxy without its credentials, or "" if there is no proxy.
func (id Identity) Proxy() string { return id.proxy }

// Target returns the host:port that a tunnel through the proxy leads to, or "" if there is no tunnel.
func (id Identity) Target() string { return id.target }

// Group returns the value of PeerOptions.Group for the connection.
func (id Identity) Group() string { return id.group }

// String returns a short description of the identity for logs. It shows no secret. Two Identities that differ only in
// parts that String does not show have equal strings. String quotes a value as Go does if it contains a space, an
// equals sign, a quotation mark, a backslash, or a character that cannot be printed, so that the value cannot be
// mistaken for something else.
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

// quoted returns a value in the form in which String shows it.
func quoted(value string) string {
	mistakable := func(r rune) bool {
		return r == ' ' || r == '=' || r == '"' || r == '\\' || r == utf8.RuneError || !unicode.IsPrint(r)
	}
	if strings.ContainsFunc(value, mistakable) {
		return strconv.Quote(value)
	}
	return value
}

// GoString returns the same text as String, so that no way of printing an Identity shows the digests of secrets.
func (id Identity) GoString() string { return id.String() }

// MarshalText returns the same text as String, so that an Identity can be encoded as JSON. Identities that differ only
// in parts that String does not show have the same text, so do not use the text as a key.
func (id Identity) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// short returns the first digits of a digest, or "" for the zero digest.
func short(digest [32]byte) string {
	if digest == ([32]byte{}) {
		return ""
	}
	return fmt.Sprintf("%x", digest[:4])
}
