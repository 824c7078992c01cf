package peerpool

import (
	"context"
	"crypto/tls"
	"sync/atomic"

	"github.com/peerpool/peerpool/pool"
)

// A GetClientCertificate function may look at the context of its handshake (tls.CertificateRequestInfo.Context), which has
// the values of the request that asked for the dial. The certificate that it returns, and so the connection, may then be
// meant for that request alone. We cannot know which other requests would have got the same certificate. So if the
// handshakes of an identity look something up, each of its connections serves one request, and none of its TLS sessions is
// kept.

// handshakeContext is the context of a handshake. It notices if something is looked up in it.
type handshakeContext struct {
	context.Context
	on     atomic.Bool // the handshake is under way
	looked atomic.Bool
}

// Value is called by what the handshake calls. crypto/tls itself looks nothing up.
func (c *handshakeContext) Value(key any) any {
	if c.on.Load() {
		c.looked.Store(true)
	}
	return c.Context.Value(key)
}

// mayLookUp reports whether a handshake may look something up in its context. If cfg is nil, the configuration is not known.
func mayLookUp(cfg *tls.Config) bool { return cfg == nil || cfg.GetClientCertificate != nil }

// watchLookups returns the context for a handshake, and a function to call when the handshake has ended. That function
// reports whether something has been looked up.
func watchLookups(ctx context.Context) (context.Context, func() bool) {
	watched := &handshakeContext{Context: ctx}
	// Package context looks up, in its own contexts, the one that can be canceled. The outer context answers that, so that
	// it does not count.
	outer, cancel := context.WithCancel(watched)
	watched.on.Store(true)
	return outer, func() bool {
		watched.on.Store(false)
		cancel()
		return watched.looked.Load()
	}
}

// Private reports whether the connection may serve only the request that asked for it. See [pool.Private].
func (c *http1Conn) Private() bool { return c.route.learned.looks.Load() }

// Private reports the same for a connection that speaks HTTP/2.
func (c *http2Conn) Private() bool { return c.learned.looks.Load() }

// Private reports the same for a connection that has another owner.
func (c *alternateConn) Private() bool { return c.learned.looks.Load() }

var (
	_ pool.Private = (*http1Conn)(nil)
	_ pool.Private = (*http2Conn)(nil)
	_ pool.Private = (*alternateConn)(nil)
)
