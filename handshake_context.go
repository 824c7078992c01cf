package peerpool

import (
	"context"
	"sync/atomic"

	"github.com/peerpool/peerpool/pool"
)

// A GetClientCertificate may look at the context of its handshake (tls.CertificateRequestInfo.Context), which has the
// values of the request that asked for the dial. What it returns may then be meant for that request alone, and so may
// the connection. Nobody can say which other requests would have got the same certificate. So an identity whose
// handshakes look something up has connections that serve one request each, and no TLS session of theirs is kept.

// handshakeContext is the context of a handshake. It notices when something is looked up in it.
type handshakeContext struct {
	context.Context
	on     atomic.Bool // the handshake is under way
	looked atomic.Bool
}

// Value is called by whatever the handshake calls: crypto/tls itself looks nothing up.
func (c *handshakeContext) Value(key any) any {
	if c.on.Load() {
		c.looked.Store(true)
	}
	return c.Context.Value(key)
}

// watchLookups returns the context for a handshake, and what to call when that has ended: it returns whether something
// has been looked up.
func watchLookups(ctx context.Context) (context.Context, func() bool) {
	watched := &handshakeContext{Context: ctx}
	// Package context asks its own contexts for the one that can be canceled. The outer one answers that.
	outer, cancel := context.WithCancel(watched)
	watched.on.Store(true)
	return outer, func() bool {
		watched.on.Store(false)
		cancel()
		return watched.looked.Load()
	}
}

// Private says that the connection may serve only the request that asked for it. See [pool.Private].
func (c *http1Conn) Private() bool { return c.route.learned.looks.Load() }

// Private says the same of a connection that speaks HTTP/2.
func (c *http2Conn) Private() bool { return c.learned.looks.Load() }

// Private says the same of a connection that somebody else serves.
func (c *alternateConn) Private() bool { return c.learned.looks.Load() }

var (
	_ pool.Private = (*http1Conn)(nil)
	_ pool.Private = (*http2Conn)(nil)
	_ pool.Private = (*alternateConn)(nil)
)
