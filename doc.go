// Package peerpool is an HTTP client transport. It replaces [net/http.Transport] and takes connections from a pool in which a
// connection serves only requests to the peer that it was opened to.
//
//	client := &http.Client{Transport: peerpool.New()}
//
// [New] returns a [Transport] with the settings of [net/http.DefaultTransport]. A Transport has every field and method of
// net/http's. [FromHTTP] makes one from an existing configuration.
//
// # Peers and identities
//
// A peer is the server that a request goes to, together with the way it is reached. Its [Identity] is everything that must
// be equal before a connection is shared: the address, scheme, SNI, client certificate, verification settings, trust roots,
// proxy, group, and the rest that the documentation of Identity lists. So one Transport can serve many tenants, certificates
// and proxies.
//
// A request says with a [Peer] how its peer differs from the Transport's settings. [WithPeer] puts the Peer into the request's
// context. If [Transport.PeerFor] is set, that function chooses the Peer instead:
//
//	peer, err := peerpool.NewPeer(peerpool.PeerOptions{ClientCertificate: &certificate})
//	...
//	req = req.WithContext(peerpool.WithPeer(req.Context(), peer))
//
// # How long connections live
//
// The Transport keeps a connection if the response was read to its end and nothing about the connection is in doubt. Otherwise
// it closes the connection. The fields of [Transport] and [PeerOptions] limit how long a connection may be idle, how old it may
// become, how often it is reused, and how many connections there are. A peer whose IdleTimeout is zero is never pooled.
//
// # When connections break
//
// If the connection of a request breaks, the Transport sends the request again on a new one, in these cases:
//
//   - Nothing of the request was written.
//   - The connection was a reused one, no byte of a response has arrived, and the request is idempotent (RFC 9110 section 9.2.2).
//   - An HTTP/2 server says that it did not process the request (RFC 9113 section 8.7).
//
// The request must also have no body, a body that nobody has read from, or a GetBody function. In all other cases RoundTrip
// returns the error that net/http would return. docs/retries.md has the whole table. A [Report] in the request's context tells
// how far each attempt got.
//
// # Watching
//
// [Transport.Stats] returns a snapshot. An [Observer] is called when something happens. [net/http/httptrace] works. The
// packages otelpool, prompool, logpool and poolz connect the Transport to OpenTelemetry, Prometheus, log/slog and a web
// page.
//
// # Reading the code
//
// These files, in this order, follow a request: transport.go (the Transport), roundtrip.go (RoundTrip, the whole walk),
// route.go (from a request to its Identity), the package pool (from an Identity to a leased connection), dialer.go (a
// new connection, hop by hop), attempt.go (from the connection to the response), retry.go (from the outcome to the
// decision whether to try again).
package peerpool
