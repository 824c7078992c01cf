// Package tunnel asks a proxy for a connection to another server, over a connection to the proxy that is already open.
//
//	connect.go  Connect: HTTP CONNECT (RFC 9110 section 9.3.6)
//	answer.go   the proxy's answer to it, read strictly and within limits
//	socks.go    Socks: SOCKS version 5 (RFC 1928, RFC 1929)
//	target.go   host and port of the target, checked, in the form a proxy takes
//	hop.go      what both share: the context, and who closes the connection
//
// If Connect or Socks succeeds, it leaves the connection open for the caller. If it fails, it closes the connection
// exactly once. Neither reads anything that belongs to the tunnel. Neither has a time limit of its own; the context
// sets one.
package tunnel
