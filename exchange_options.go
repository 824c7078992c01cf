package peerpool

import (
	"sync/atomic"

	"github.com/peerpool/peerpool/internal/http1"
)

// exchangeOptions hold what the exchanges of a Transport have in common. They are made anew when one of the fields that
// they come from has changed: net/http reads these for every request.
type exchangeOptions struct {
	now atomic.Pointer[optionSet]
}

// optionSet has the options for connections that belong to one Group, and those for others. It is never written to.
type optionSet struct {
	open, ofOneGroup http1.Options
}

// of returns the options that follow from the fields of t.
func (o *exchangeOptions) of(t *Transport) *optionSet {
	if set := o.now.Load(); set != nil && t.asks(&set.open) {
		return set
	}
	set := &optionSet{open: http1.Options{
		Gzip:           !t.DisableCompression,
		Close:          t.DisableKeepAlives,
		ExpectTimeout:  t.ExpectContinueTimeout,
		HeaderTimeout:  t.ResponseHeaderTimeout,
		MaxHeaderBytes: t.MaxResponseHeaderBytes,
		ReadBuffer:     t.ReadBufferSize,
		WriteBuffer:    t.WriteBufferSize,
	}}
	set.ofOneGroup = set.open
	set.ofOneGroup.Partitioned = true
	o.now.Store(set)
	return set
}

// asks says whether the fields of the Transport are those that o was made from.
func (t *Transport) asks(o *http1.Options) bool {
	return o.Gzip != t.DisableCompression && o.Close == t.DisableKeepAlives &&
		o.ExpectTimeout == t.ExpectContinueTimeout && o.HeaderTimeout == t.ResponseHeaderTimeout &&
		o.MaxHeaderBytes == t.MaxResponseHeaderBytes &&
		o.ReadBuffer == t.ReadBufferSize && o.WriteBuffer == t.WriteBufferSize
}

// exchangeOptions returns those for a request on the route. Where it leads to a proxy, requests name their targets in full.
func (r *route) exchangeOptions() *http1.Options {
	proxied := r.via != nil && r.identity.target == ""
	if o := r.proxied.Load(); proxied && o != nil && r.t.asks(o) {
		return o
	}
	set := r.t.core.exchanges.of(r.t)
	opts := &set.open
	if r.identity.group != "" {
		opts = &set.ofOneGroup
	}
	if proxied {
		o := *opts
		o.Proxied, o.ProxyHeader = true, r.via.requestHeader()
		opts = &o
		r.proxied.Store(opts)
	}
	return opts
}
