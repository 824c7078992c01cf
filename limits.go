package peerpool

import (
	"context"
	"net"
	"sync/atomic"
	"time"

	"github.com/peerpool/peerpool/internal/exchange"
	"github.com/peerpool/peerpool/internal/http1"
)

// These errors say which time limit has ended a request. Each is a [net.Error] whose Timeout method returns true.
// RoundTrip returns ErrDialTimeout and ErrBodyWriteTimeout, and a Read of the response's body returns ErrBodyReadTimeout,
// as they are. The other limits end a request with the errors that net/http has for them.
var (
	// ErrDialTimeout says that DialTimeout has passed.
	ErrDialTimeout error = exchange.LimitError("peerpool: timeout opening a connection")

	// ErrBodyReadTimeout says that BodyReadTimeout has passed.
	ErrBodyReadTimeout = exchange.ErrBodyRead

	// ErrBodyWriteTimeout says that BodyWriteTimeout has passed.
	ErrBodyWriteTimeout = exchange.ErrBodyWrite
)

// timeLimits holds the time limits of PeerOptions that an exchange needs.
type timeLimits struct {
	header, read, write *time.Duration                 // nil means the Transport's
	latest              atomic.Pointer[limitedOptions] // the options that were last made with these limits
}

// limitedOptions holds the options of an exchange, with the limits of a peer in place of the Transport's.
type limitedOptions struct {
	from *http1.Options
	http1.Options
}

// newTimeLimits returns the peer's time limits for exchanges, or nil if there are none.
func newTimeLimits(o *PeerOptions) *timeLimits {
	if o.ResponseHeaderTimeout == nil && o.BodyReadTimeout == nil && o.BodyWriteTimeout == nil {
		return nil
	}
	return &timeLimits{header: o.ResponseHeaderTimeout, read: o.BodyReadTimeout, write: o.BodyWriteTimeout}
}

// limited returns the options for a request to the peer.
func (p *Peer) limited(opts *http1.Options) *http1.Options {
	if p == nil || p.limits == nil {
		return opts
	}
	l := p.limits
	if latest := l.latest.Load(); latest != nil && latest.from == opts {
		return &latest.Options
	}
	own := &limitedOptions{from: opts, Options: *opts}
	replace(&own.HeaderTimeout, l.header)
	replace(&own.BodyReadTimeout, l.read)
	replace(&own.BodyWriteTimeout, l.write)
	l.latest.Store(own)
	return &own.Options
}

func replace(limit *time.Duration, own *time.Duration) {
	if own != nil {
		*limit = *own
	}
}

// exchangeLimits returns the time limits for an exchange with the peer, which do not include those of dials.
func (t *Transport) exchangeLimits(p *Peer) *exchange.Limits {
	return &p.limited(&t.options().open).Limits
}

// checkTimeLimits returns an error if a time limit is negative.
func (o *PeerOptions) checkTimeLimits() error {
	for _, limit := range []struct {
		name string
		d    *time.Duration
	}{
		{"ConnectTimeout", o.ConnectTimeout}, {"TLSHandshakeTimeout", o.TLSHandshakeTimeout}, {"DialTimeout", o.DialTimeout},
		{"ResponseHeaderTimeout", o.ResponseHeaderTimeout}, {"BodyReadTimeout", o.BodyReadTimeout},
		{"BodyWriteTimeout", o.BodyWriteTimeout},
	} {
		if limit.d != nil && *limit.d < 0 {
			return optionError(limit.name, "%v is negative", *limit.d)
		}
	}
	return nil
}

// ownTimeLimits replaces the pointers to time limits by pointers to copies.
func (o *PeerOptions) ownTimeLimits() {
	for _, limit := range []**time.Duration{
		&o.ConnectTimeout, &o.TLSHandshakeTimeout, &o.DialTimeout,
		&o.ResponseHeaderTimeout, &o.BodyReadTimeout, &o.BodyWriteTimeout,
	} {
		if *limit != nil {
			own := **limit
			*limit = &own
		}
	}
}

// dialTimeout returns the time limit of a whole dial of the route. limited is true if a DialTimeout sets the limit, and
// false if it is maxDial, which every dial has.
func (p *plan) dialTimeout() (d time.Duration, limited bool) {
	d = p.t.DialTimeout
	if l := p.t.changed.Load(); l != nil {
		d = l.DialTimeout
	}
	replace(&d, p.peer.DialTimeout)
	if d <= 0 {
		return maxDial, false
	}
	return d, true
}

// withinDial returns the context of a dial that began at the given time.
func (p *plan) withinDial(ctx context.Context, begun time.Time) (context.Context, context.CancelFunc) {
	d, limited := p.dialTimeout()
	if !limited {
		return context.WithDeadline(ctx, begun.Add(d))
	}
	return context.WithDeadlineCause(ctx, begun.Add(d), ErrDialTimeout)
}

// withinOwnDial is withinDial for a part of a dial. It sets a deadline only if a DialTimeout sets the limit.
func (p *plan) withinOwnDial(ctx context.Context, begun time.Time) (context.Context, context.CancelFunc) {
	if _, limited := p.dialTimeout(); !limited {
		return ctx, func() {}
	}
	return p.withinDial(ctx, begun)
}

// outOfTime returns the error of a dial that has failed in the given context. If DialTimeout has ended the dial, that error
// is ErrDialTimeout.
func (r *route) outOfTime(ctx context.Context, err error) error {
	if err == nil || context.Cause(ctx) != ErrDialTimeout {
		return err
	}
	failed, ok := err.(*dialError)
	if !ok {
		return newDialError(r.identity(), opConnect, ErrDialTimeout)
	}
	return newDialError(failed.identity, failed.hop, ErrDialTimeout)
}

// tlsHandshakeTimeout returns the time limit of a handshake with the target or with a proxy. Zero means that only the limit
// of the whole dial applies.
func (p *plan) tlsHandshakeTimeout() time.Duration {
	d := p.t.TLSHandshakeTimeout
	if l := p.t.changed.Load(); l != nil {
		d = l.TLSHandshakeTimeout
	}
	replace(&d, p.peer.TLSHandshakeTimeout)
	return d
}

// connectTimeout returns the time limit of a race of addresses. Each of the sockets also has the Dialer's time limit.
func (p *plan) connectTimeout() time.Duration {
	if d := p.socketTimeout(); d > 0 && d <= maxDial {
		return d
	}
	return maxDial
}

// socketTimeout returns the time limit for the connect of one socket. Zero means that only the limit of the whole dial
// applies.
func (p *plan) socketTimeout() time.Duration {
	d := p.t.netDialer().Timeout
	replace(&d, p.peer.ConnectTimeout)
	return d
}

// limitsConnect reports whether a connect ends by its own limit before the limit of a whole dial passes.
func (p *plan) limitsConnect() bool {
	_, limited := p.dialTimeout()
	d := p.socketTimeout()
	return !limited && d > 0 && d <= maxDial
}

// withTimeout returns a copy of the dialer with the peer's time limit, or the dialer itself if the peer has none.
func (p *plan) withTimeout(d *net.Dialer) *net.Dialer {
	if p.peer.ConnectTimeout == nil {
		return d
	}
	c := *d
	c.Timeout = *p.peer.ConnectTimeout
	return &c
}

// connectContext returns the context for a custom dialer, which must itself heed the limit in it.
func (p *plan) connectContext(ctx context.Context) (context.Context, context.CancelFunc) {
	if p.peer.ConnectTimeout == nil || *p.peer.ConnectTimeout == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, *p.peer.ConnectTimeout)
}
