// Package tunnel asks a proxy for a connection to somebody else, over a connection to the proxy that
// is already there.
//
//	connect.go  Connect: HTTP CONNECT (RFC 9110 section 9.3.6)
//	answer.go   the proxy's answer to it, read strictly and within limits
//	socks.go    Socks: SOCKS version 5 (RFC 1928, RFC 1929)
//	target.go   host and port of the target, checked, in the form a proxy takes
//	hop.go      what both share: the context, and who closes the connection
//
// Both leave the connection to the caller as it is, or closed, exactly once, if they fail. They read
// nothing that belongs to the tunnel. They have no time limit of their own: the context has.
package tunnel
