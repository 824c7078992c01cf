package peerpool

//lint:file-ignore SA1019 Dial and DialTLS are deprecated, and carried over because callers may still set them

import (
	"context"
	"maps"
	"net/http"
	"reflect"
)

// FromHTTP returns a Transport with the configuration of t: all fields that both types have. It shares or copies what
// these fields point to, as [Transport.Clone] does. Connections of t, and protocols registered with t, stay with t.
// If t speaks HTTP/2 by default, FromHTTP sets ForceAttemptHTTP2, so that the Transport speaks it too. If t does not
// speak HTTP/2 because it has a DialContext, FromHTTP sets Protocols accordingly. FromHTTP panics if t is nil, as t.Clone
// does.
//
// If DialContext or Dial is the method of a [net.Dialer], as in [http.DefaultTransport], FromHTTP sets
// [Transport.Dialer] to that net.Dialer instead. The Transport then opens the same sockets, and identities hold
// addresses. FromHTTP keeps any other function, which then works as described at [Transport.DialContext]: the
// function resolves names, and identities hold names.
func FromHTTP(t *http.Transport) *Transport {
	clone := t.Clone()
	c := fromHTTP(clone)
	if clone.TLSNextProto == nil && clone.Protocols == nil {
		// t.Clone has made net/http set up HTTP/2 in t if t is to speak it. Since then, TLSClientConfig is not nil, and that
		// would turn HTTP/2 off here. The clone lacks the function that net/http has put into t.TLSNextProto for HTTP/2.
		c.ForceAttemptHTTP2 = c.ForceAttemptHTTP2 || t.TLSNextProto[protoHTTP2] != nil
	}
	if f := frontOf(c); f != nil {
		f.showBehind(c, true)
		c = c.Clone() // some of these values belong to the Transport behind the front
	}
	spoke := c.speaksHTTP2()
	if d := stockDialer(t); d != nil {
		c.DialContext, c.Dial = nil, nil
		if !reflect.DeepEqual(*d, netDialer) {
			c.Dialer = cloneDialer(d)
		}
	}
	if c.speaksHTTP2() && !spoke && c.Protocols == nil {
		http1 := onlyHTTP1()
		c.Protocols = &http1
	}
	return c
}

// fromHTTP copies the fields that both types have, but not what they point to.
func fromHTTP(t *http.Transport) *Transport {
	return &Transport{
		Proxy:                  t.Proxy,
		OnProxyConnectResponse: t.OnProxyConnectResponse,
		DialContext:            t.DialContext,
		Dial:                   t.Dial,
		DialTLSContext:         t.DialTLSContext,
		DialTLS:                t.DialTLS,
		TLSClientConfig:        t.TLSClientConfig,
		TLSHandshakeTimeout:    t.TLSHandshakeTimeout,
		DisableKeepAlives:      t.DisableKeepAlives,
		DisableCompression:     t.DisableCompression,
		MaxIdleConns:           t.MaxIdleConns,
		MaxIdleConnsPerHost:    t.MaxIdleConnsPerHost,
		MaxConnsPerHost:        t.MaxConnsPerHost,
		IdleConnTimeout:        t.IdleConnTimeout,
		ResponseHeaderTimeout:  t.ResponseHeaderTimeout,
		ExpectContinueTimeout:  t.ExpectContinueTimeout,
		TLSNextProto:           t.TLSNextProto,
		ProxyConnectHeader:     t.ProxyConnectHeader,
		GetProxyConnectHeader:  t.GetProxyConnectHeader,
		MaxResponseHeaderBytes: t.MaxResponseHeaderBytes,
		WriteBufferSize:        t.WriteBufferSize,
		ReadBufferSize:         t.ReadBufferSize,
		ForceAttemptHTTP2:      t.ForceAttemptHTTP2,
		HTTP2:                  t.HTTP2,
		Protocols:              t.Protocols,
	}
}

// http returns an http.Transport with the settings that both types have.
func (t *Transport) http() *http.Transport {
	return &http.Transport{
		Proxy:                  t.Proxy,
		OnProxyConnectResponse: t.OnProxyConnectResponse,
		DialContext:            t.DialContext,
		Dial:                   t.Dial,
		DialTLSContext:         t.DialTLSContext,
		DialTLS:                t.DialTLS,
		TLSClientConfig:        t.TLSClientConfig,
		TLSHandshakeTimeout:    t.TLSHandshakeTimeout,
		DisableKeepAlives:      t.DisableKeepAlives,
		DisableCompression:     t.DisableCompression,
		MaxIdleConns:           t.MaxIdleConns,
		MaxIdleConnsPerHost:    t.MaxIdleConnsPerHost,
		MaxConnsPerHost:        t.MaxConnsPerHost,
		IdleConnTimeout:        t.IdleConnTimeout,
		ResponseHeaderTimeout:  t.ResponseHeaderTimeout,
		ExpectContinueTimeout:  t.ExpectContinueTimeout,
		TLSNextProto:           t.TLSNextProto,
		ProxyConnectHeader:     t.ProxyConnectHeader,
		GetProxyConnectHeader:  t.GetProxyConnectHeader,
		MaxResponseHeaderBytes: t.MaxResponseHeaderBytes,
		WriteBufferSize:        t.WriteBufferSize,
		ReadBufferSize:         t.ReadBufferSize,
		ForceAttemptHTTP2:      t.ForceAttemptHTTP2,
		HTTP2:                  t.HTTP2,
		Protocols:              t.Protocols,
	}
}

// Clone returns a Transport with the same configuration as t and no connections. It copies deeply what net/http's
// Clone copies deeply.
func (t *Transport) Clone() *Transport {
	t.announce.Do(t.announceHTTP2) // a first request may be doing this now
	t.settings.Lock()
	defer t.settings.Unlock()
	// This does not use net/http's Clone, which sets up HTTP/2 in the tls.Config that it is given, even if that is in use.
	c := fromHTTP(t.http())
	c.TLSClientConfig = t.TLSClientConfig.Clone()
	c.ProxyConnectHeader = t.ProxyConnectHeader.Clone()
	c.TLSNextProto = maps.Clone(t.TLSNextProto)
	if t.HTTP2 != nil {
		settings := *t.HTTP2
		c.HTTP2 = &settings
	}
	if t.Protocols != nil {
		protocols := *t.Protocols
		c.Protocols = &protocols
	}
	c.RetryBudget = t.RetryBudget
	c.DialTimeout, c.BodyReadTimeout, c.BodyWriteTimeout = t.DialTimeout, t.BodyReadTimeout, t.BodyWriteTimeout
	c.MinIdleConnsPerHost = t.MinIdleConnsPerHost
	c.MaxConnReuse = t.MaxConnReuse
	c.MaxConnLifetime = t.MaxConnLifetime
	c.MaxConnStreams = t.MaxConnStreams
	c.PeerFor = t.PeerFor
	c.Dialer = cloneDialer(t.Dialer)
	c.Observer = t.Observer
	c.Resolver = t.Resolver
	c.DNSRefresh, c.Balance, c.Outliers = t.DNSRefresh, t.Balance, t.Outliers
	c.DisableQuarantine = t.DisableQuarantine
	c.DisableLearning = t.DisableLearning
	if l := t.changed.Load(); l != nil {
		c.takeLimits(l)
	}
	return c
}

// NewClientConn opens a new connection to an address for callers that have a pool of their own. The connection is
// outside the Transport's pool and its limits. NewClientConn calls the method of net/http's Transport of the same
// name, with the configuration that both types have.
func (t *Transport) NewClientConn(ctx context.Context, scheme, address string) (*http.ClientConn, error) {
	theirs := t.Clone().http()
	theirs.MaxConnsPerHost = 0 // net/http would panic on its close, as it is not counted
	if theirs.DialContext == nil && theirs.Dial == nil && t.Dialer != nil {
		theirs.ForceAttemptHTTP2 = t.speaksHTTP2()
		theirs.DialContext = t.Dialer.DialContext
	}
	return theirs.NewClientConn(ctx, scheme, address)
}

// takeLimits sets the fields for limits.
func (t *Transport) takeLimits(l *Limits) {
	t.MaxIdleConns, t.MaxIdleConnsPerHost, t.MaxConnsPerHost = l.MaxIdleConns, l.MaxIdleConnsPerHost, l.MaxConnsPerHost
	t.MinIdleConnsPerHost, t.IdleConnTimeout = l.MinIdleConnsPerHost, l.IdleConnTimeout
	t.MaxConnReuse, t.MaxConnLifetime = l.MaxConnReuse, l.MaxConnLifetime
	t.TLSHandshakeTimeout, t.DialTimeout, t.ResponseHeaderTimeout = l.TLSHandshakeTimeout, l.DialTimeout, l.ResponseHeaderTimeout
	t.BodyReadTimeout, t.BodyWriteTimeout, t.RetryBudget = l.BodyReadTimeout, l.BodyWriteTimeout, l.RetryBudget
}
