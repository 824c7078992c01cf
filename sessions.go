package peerpool

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"strconv"
)

// crypto/tls tells sessions apart only by the name of the server. It would resume a session for a request with another
// identity. So each identity has its own names for its sessions in the cache that all identities of a Transport share.

// sessions is the cache of the TLS sessions of one identity.
type sessions struct {
	cache   tls.ClientSessionCache
	prefix  string // prefix of the names of the sessions in the cache
	learned *learned
}

// keepSessions gives the route's TLS configurations their session caches.
func (r *route) keepSessions() {
	if r.tls != nil {
		r.tls.ClientSessionCache = r.sessionCache(r.tls, r.identity().sessionPrefix())
	}
	if r.via != nil && r.via.tls != nil {
		r.via.tls.ClientSessionCache = r.sessionCache(r.via.tls, fmt.Sprintf("proxy %x %s ", r.via.tlsID, r.via.addr))
	}
}

// sessionCache returns the session cache for a configuration, or nil if no session is resumed. It is nil if resuming
// would skip a function that verifies the certificate. It is also nil, unless the user has set a cache, if a resumed
// session would present a certificate that GetClientCertificate no longer returns.
func (r *route) sessionCache(cfg *tls.Config, prefix string) tls.ClientSessionCache {
	cache := cfg.ClientSessionCache
	switch {
	case cfg.VerifyPeerCertificate != nil, cache == nil && cfg.GetClientCertificate != nil:
		return nil
	case cache == nil:
		cache = r.t.core.sessions
	}
	return &sessions{cache: cache, prefix: prefix, learned: r.learned}
}

func (s *sessions) Get(key string) (*tls.ClientSessionState, bool) {
	if s.learned.looks.Load() {
		return nil, false
	}
	return s.cache.Get(s.prefix + key)
}

// Put does not keep a session whose certificate may be meant for one request. A resumed session would present that
// certificate for other requests.
func (s *sessions) Put(key string, state *tls.ClientSessionState) {
	if s.learned.looks.Load() {
		state = nil // this makes the cache forget the session before it
	}
	s.cache.Put(s.prefix+key, state)
}

// sessionPrefix returns the prefix of the names of an identity's sessions. Equal prefixes mean equal identities: the prefix
// is a hash of every field, and the length of each text stands before the text.
func (id Identity) sessionPrefix() string {
	b := make([]byte, 0, 512)
	for _, text := range [...]string{
		id.network, id.address, id.scheme, id.serverName, id.alternativeName, id.proxy, id.target, id.local, id.group,
	} {
		b = append(strconv.AppendInt(b, int64(len(text)), 10), ' ')
		b = append(b, text...)
	}
	for _, digest := range [...][32]byte{id.tls, id.certificate, id.proxySecret} {
		b = append(b, digest[:]...)
	}
	for _, flag := range [...]bool{id.skipVerify, id.skipHostname, id.priorHTTP2} {
		b = strconv.AppendBool(b, flag)
	}
	sum := sha256.Sum256(b)
	return string(append(hex.AppendEncode(b[:0], sum[:]), ' '))
}
