// Package probe measures what an HTTP server allows its clients: which protocols it speaks, how long it keeps an idle
// connection, how many requests a connection may carry, and how it closes one. A client pool that knows these
// numbers can close its connections before the server does.
//
// A probe is polite. It uses one connection at a time, sends only GET and HEAD, says in its User-Agent what it is, and
// stops as soon as it is unwelcome: at a 429, or at a 403 after another status.
//
// The files follow the measurement: probe.go runs the steps, reach.go finds addresses and TLS, wire.go speaks HTTP/1.1
// on one connection, http1.go and http2.go measure each protocol, and advice.go turns the findings into settings.
package probe
