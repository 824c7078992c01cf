package peerpool

import (
	"math"

	"github.com/peerpool/peerpool/internal/exchange"
	"github.com/peerpool/peerpool/internal/http1"
	"github.com/peerpool/peerpool/pool"
)

// terms returns what the settings of the Transport and of the peer say about pooling.
func (t *Transport) terms(p *Peer) pool.Terms {
	terms := pool.Terms{
		IdleTimeout: t.IdleConnTimeout,
		Unpooled:    t.DisableKeepAlives,
		MaxReuse:    t.MaxConnReuse,
		MaxLifetime: t.MaxConnLifetime,
		MaxConns:    t.MaxConnsPerHost,
	}
	if l := t.changed.Load(); l != nil {
		terms.IdleTimeout, terms.MaxConns = l.IdleConnTimeout, l.MaxConnsPerHost
		terms.MaxReuse, terms.MaxLifetime = l.MaxConnReuse, l.MaxConnLifetime
	}
	if p == nil {
		return terms
	}
	o := &p.opts
	if o.IdleTimeout != nil {
		terms.IdleTimeout = *o.IdleTimeout
		terms.Unpooled = terms.Unpooled || *o.IdleTimeout == 0
	}
	if o.MaxConnReuse > 0 {
		terms.MaxReuse = o.MaxConnReuse
	}
	if o.MaxConnLifetime > 0 {
		terms.MaxLifetime = o.MaxConnLifetime
	}
	if o.MaxConns > 0 {
		terms.MaxConns = o.MaxConns
	}
	return terms
}

// optionSet holds the options that the exchanges of a Transport have in common: those for connections that belong to one
// Group, and those for others. It is never written to. If a field that the options come from has changed, the Transport
// makes a new optionSet, because net/http reads these fields for every request.
type optionSet struct {
	open, ofOneGroup http1.Options
}

// optionsOf returns the options that follow from the fields of t.
func optionsOf(t *Transport) *optionSet {
	set := &optionSet{open: http1.Options{
		Gzip:           !t.DisableCompression,
		Close:          t.DisableKeepAlives,
		ExpectTimeout:  t.ExpectContinueTimeout,
		Limits:         t.limits(),
		MaxHeaderBytes: t.MaxResponseHeaderBytes,
		ReadBuffer:     min(t.ReadBufferSize, maxBufferSize),
		WriteBuffer:    min(t.WriteBufferSize, maxBufferSize),
	}}
	set.ofOneGroup = set.open
	set.ofOneGroup.Partitioned = true
	return set
}

// asks reports whether o still agrees with the fields and the limits of the Transport.
func (t *Transport) asks(o *http1.Options) bool {
	return o.Gzip != t.DisableCompression && o.Close == t.DisableKeepAlives &&
		o.ExpectTimeout == t.ExpectContinueTimeout && o.Limits == t.limits() &&
		o.MaxHeaderBytes == t.MaxResponseHeaderBytes &&
		o.ReadBuffer == min(t.ReadBufferSize, maxBufferSize) && o.WriteBuffer == min(t.WriteBufferSize, maxBufferSize)
}

// maxBufferSize is the size in bytes of the largest buffer of a request. A larger one saves no system call, and the memory for
// it may not exist.
const maxBufferSize = 16 << 20

// options returns the latest options. It makes new ones if a field has changed.
func (t *Transport) options() *optionSet {
	set := t.core.options.Load()
	if set == nil || !t.asks(&set.open) {
		set = optionsOf(t)
		t.core.options.Store(set)
	}
	return set
}

// exchangeOptions returns the options for a request on the route.
func (r *route) exchangeOptions() *http1.Options {
	set := r.t.options()
	opts := &set.open
	if r.peer.Group != "" {
		opts = &set.ofOneGroup
	}
	if r.via != nil && r.via.tunnel == "" {
		return r.proxiedOptions(opts)
	}
	return opts
}

// proxiedOptions returns the options for a request to a proxy that names its target in full.
func (r *route) proxiedOptions(opts *http1.Options) *http1.Options {
	if o := r.proxied.Load(); o != nil && r.t.asks(o) {
		return o
	}
	o := *opts
	o.Proxied, o.ProxyHeader = true, r.via.requestHeader()
	r.proxied.Store(&o)
	return &o
}

// limits returns the time limits that the Transport itself sets for an exchange.
func (t *Transport) limits() exchange.Limits {
	if l := t.changed.Load(); l != nil {
		return exchange.Limits{
			HeaderTimeout: l.ResponseHeaderTimeout, BodyReadTimeout: l.BodyReadTimeout, BodyWriteTimeout: l.BodyWriteTimeout,
		}
	}
	return exchange.Limits{
		HeaderTimeout: t.ResponseHeaderTimeout, BodyReadTimeout: t.BodyReadTimeout, BodyWriteTimeout: t.BodyWriteTimeout,
	}
}

// retryBudget returns the share of requests that may be sent again. Zero means no limit. A share that is not a number, as
// the result of a division may be, is the smallest one.
func (t *Transport) retryBudget() float64 {
	share := t.RetryBudget
	if l := t.changed.Load(); l != nil {
		share = l.RetryBudget
	}
	if math.IsNaN(share) {
		return math.SmallestNonzeroFloat64
	}
	return share
}

// minIdle returns how many idle connections are kept ready to a peer.
func (t *Transport) minIdle(p *Peer) int {
	if p != nil && p.opts.MinIdleConns > 0 {
		return p.opts.MinIdleConns
	}
	if l := t.changed.Load(); l != nil {
		return l.MinIdleConnsPerHost
	}
	return t.MinIdleConnsPerHost
}
