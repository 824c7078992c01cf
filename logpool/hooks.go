package logpool

import (
	"context"
	"log/slog"

	"github.com/peerpool/peerpool"
)

func (o *observer) started(ctx context.Context, s peerpool.Started) {
	o.log(ctx, msgStarted, func() []slog.Attr {
		return []slog.Attr{slog.String("host", s.Host), slog.String("method", s.Method)}
	})
}

func (o *observer) resolved(ctx context.Context, r peerpool.Resolved) {
	o.log(ctx, msgResolved, func() []slog.Attr {
		attrs := []slog.Attr{slog.String("host", r.Host), slog.Duration("took", r.Duration), slog.Any("addrs", r.Addrs)}
		return withError(attrs, r.Err)
	})
}

func (o *observer) dialed(ctx context.Context, d peerpool.Dialed) {
	o.log(ctx, msgDialed, func() []slog.Attr {
		attrs := []slog.Attr{
			slog.String("host", d.Host), identity(d.Identity), slog.Uint64("conn", d.Conn), slog.Duration("took", d.Total),
			slog.Duration("resolve", d.Resolve), slog.Duration("connect", d.Connect),
			slog.Duration("proxy", d.Proxy), slog.Duration("tls", d.TLS),
		}
		return withError(attrs, d.Err)
	})
}

func (o *observer) acquired(ctx context.Context, a peerpool.Acquired) {
	o.log(ctx, msgAcquired, func() []slog.Attr {
		attrs := []slog.Attr{
			slog.String("host", a.Host), identity(a.Identity), slog.Int("attempt", a.Attempt), slog.Uint64("conn", a.Conn),
			slog.String("miss", string(a.Miss)), slog.Int("uses", a.Uses), slog.Duration("idle", a.Idle),
			slog.Duration("age", a.Age), slog.Duration("waited", a.Waited),
		}
		return withError(attrs, a.Err)
	})
}

func (o *observer) done(ctx context.Context, d peerpool.Done) {
	o.log(ctx, msgDone, func() []slog.Attr {
		return []slog.Attr{
			slog.String("host", d.Host), slog.Int("attempt", d.Attempt), slog.Uint64("conn", d.Conn),
			slog.Int("status", d.Status), slog.String("close", string(d.Close)), slog.Duration("took", d.Duration),
		}
	})
}

func (o *observer) retried(ctx context.Context, r peerpool.Retried) {
	o.log(ctx, msgRetried, func() []slog.Attr {
		attrs := []slog.Attr{
			slog.String("host", r.Host), identity(r.Identity), slog.Int("attempt", r.Attempt), slog.Uint64("conn", r.Conn),
			slog.String("reason", r.Reason),
		}
		return withError(attrs, r.Err)
	})
}

func (o *observer) ended(ctx context.Context, e peerpool.Ended) {
	o.log(ctx, msgEnded, func() []slog.Attr {
		attrs := []slog.Attr{
			slog.String("host", e.Host), slog.String("method", e.Method), slog.Int("attempts", e.Attempts),
			slog.Int("status", e.Status), slog.Duration("took", e.Duration),
		}
		return withError(attrs, e.Err)
	})
}

func (o *observer) closed(c peerpool.Closed) {
	o.log(context.Background(), closeMessage(c.Reason), func() []slog.Attr {
		return []slog.Attr{
			slog.String("host", c.Host), identity(c.Identity), slog.Uint64("conn", c.Conn), slog.String("reason", string(c.Reason)),
			slog.Int("uses", c.Uses), slog.Duration("age", c.Age), slog.Bool("in_use", c.InUse),
		}
	})
}

func identity(id peerpool.Identity) slog.Attr { return slog.String("identity", id.String()) }

func withError(attrs []slog.Attr, err error) []slog.Attr {
	if err == nil {
		return attrs
	}
	return append(attrs, slog.String("error", err.Error()))
}
