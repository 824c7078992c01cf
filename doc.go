// Package peerpool is an HTTP client transport that pools connections by the full identity of the peer they
// were opened to. [Transport] has every field and method of [net/http.Transport], so that
//
//	client := &http.Client{Transport: peerpool.New()}
//
// is all there is to switching from [net/http.DefaultTransport]. [FromHTTP] carries an existing configuration over.
//
// # Peers
//
// A connection serves a request only if their identities are equal: address, scheme, SNI, client certificate,
// verification settings, trust roots, proxy, group, and the rest that [Identity] lists. So one Transport serves any
// number of tenants, certificates and proxies. Requests say how their peer differs from the Transport's settings
// by a [Peer], which [WithPeer] puts into their context, or [Transport.PeerFor] chooses:
//
//	peer, err := peerpool.NewPeer(peerpool.PeerOptions{ClientCertificate: &certificate})
//	...
//	req = req.WithContext(peerpool.WithPeer(req.Context(), peer))
//
// # How long connections live
//
// A connection is kept after a response that was read to its end, and closed on any doubt. Limits are on how long it
// idles, how old it gets, how often it is reused, and on how many there are, in total and of one identity; see the
// fields of [Transport] and [PeerOptions]. A peer whose IdleTimeout is zero is never pooled.
//
// # When connections break
//
// A request whose connection breaks is sent again, on a new one, if that cannot do harm: if nothing of it was written;
// if the connection was a reused one, no byte of a response has arrived, and the request is idempotent (RFC 9110
// section 9.2.2); or if an HTTP/2 server says that it did not process it (RFC 9113 section 8.7). Its body must be
// replayable: there is none, it has not been read from, or the request has a GetBody. docs/retries.md has the
// whole table. All else returns the error that net/http's Transport returns; see docs/errors.md. A [Report] in the
// request's context tells how far each attempt got.
//
// # Watching
//
// [Transport.Stats] is a snapshot, an [Observer] is told what happens, and [net/http/httptrace] works. The packages
// otelpool, prompool, logpool and poolz bring OpenTelemetry, Prometheus, log/slog and a page for the browser, and allpool
// all of them in one call.
//
// # Reading the code
//
// The walk of a request is the files in order: transport.go (Transport), roundtrip.go (RoundTrip, the whole walk),
// route.go (request -> Identity), the pool package (Identity -> lease), dialer.go (a new connection, hop by hop),
// attempt.go (lease -> response, and the end of the lease), retry.go (outcome -> verdict).
package peerpool
