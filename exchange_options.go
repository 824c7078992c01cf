package peerpool

import "github.com/peerpool/peerpool/internal/http1"

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
		ReadBuffer:     bufferSize(t.ReadBufferSize),
		WriteBuffer:    bufferSize(t.WriteBufferSize),
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
		o.ReadBuffer == bufferSize(t.ReadBufferSize) && o.WriteBuffer == bufferSize(t.WriteBufferSize)
}

// maxBufferSize is the size in bytes of the largest buffer of a request. A larger one saves no system call, and the memory for
// it may not exist.
const maxBufferSize = 16 << 20

func bufferSize(n int) int { return min(n, maxBufferSize) }

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
