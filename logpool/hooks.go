package logpool

import (
	"cmp"
	"context"
	"log/slog"

	"github.com/peerpool/peerpool"
)

func (l *Log) started(ctx context.Context, s peerpool.RequestStart) {
	l.log(ctx, msgStarted, func() []slog.Attr {
		return []slog.Attr{slog.String("host", s.Host), slog.String("method", s.Method)}
	})
}

func (l *Log) resolved(ctx context.Context, r peerpool.ResolveDone) {
	attrs := func() []slog.Attr {
		attrs := []slog.Attr{slog.String("host", r.Host), slog.Duration("took", r.Duration)}
		if r.Err == nil {
			attrs = append(attrs, slog.Any("addrs", r.Addrs))
		}
		if r.ErrorType != "" {
			attrs = append(attrs, slog.String("cause", string(r.ErrorType)))
		}
		return withError(attrs, r.Err)
	}
	if r.ErrorType != "" {
		l.logDigest(ctx, msgUnresolved, string(r.ErrorType), msgResolved, attrs)
		return
	}
	l.log(ctx, msgResolved, attrs)
}

func (l *Log) dialed(ctx context.Context, d peerpool.DialDone) {
	attrs := func() []slog.Attr {
		attrs := []slog.Attr{
			slog.String("host", d.Host), identity(d.Identity), slog.Uint64("conn", uint64(d.Conn)), slog.Duration("took", d.Total),
			slog.Duration("resolve", d.Resolve), slog.Duration("connect", d.Connect),
			slog.Duration("proxy", d.Proxy), slog.Duration("tls", d.TLS),
		}
		if d.Err != nil {
			attrs = append(attrs, slog.String("hop", d.Hop),
				slog.String("error_type", string(d.ErrorType)), slog.String("cause", string(d.HopErrorType)))
		}
		return withError(attrs, d.Err)
	}
	if d.Replaces && d.Err == nil {
		l.logDigest(ctx, msgReplaced, "", msgDialed, attrs)
		return
	}
	if d.ErrorType != "" {
		l.logDigest(ctx, msgUndialed, d.Hop+" "+string(d.HopErrorType), msgDialed, attrs)
		return
	}
	l.log(ctx, msgDialed, attrs)
}

func (l *Log) heldBack(ctx context.Context, w peerpool.AcquireWait) {
	l.backlog.add(w)
	written := l.logDigest(ctx, msgHeldBack, "", msgHeldBackAgain, func() []slog.Attr {
		w := l.backlog.get()
		return []slog.Attr{
			slog.String("host", w.Host), identity(w.Identity), slog.Int("max_conns", w.MaxConns), slog.Int("dialing", w.Dialing),
			slog.Int("waiting", w.Waiting), slog.Duration("longest", w.Longest),
		}
	})
	if written {
		l.backlog.reset()
	}
}

func (l *Log) acquired(ctx context.Context, a peerpool.AcquireDone) {
	attrs := func() []slog.Attr {
		attrs := []slog.Attr{
			slog.String("host", a.Host), identity(a.Identity), slog.Int("attempt", a.Attempt), slog.Uint64("conn", uint64(a.Conn)),
			slog.String("miss", string(a.Miss)), slog.Int("uses", a.Uses), slog.Duration("idle", a.Idle),
			slog.Duration("age", a.Age), slog.Duration("waited", a.Waited), slog.Bool("held_back", a.HeldBack),
		}
		return withError(attrs, a.Err)
	}
	if a.HeldBack {
		l.backlog.ended(a.Host, a.Waited)
	}
	if !a.HeldBack || a.Err == nil || a.Hop != "" {
		l.log(ctx, msgAcquired, attrs)
		return
	}
	cause := cmp.Or(string(a.ErrorType), "canceled")
	l.logDigest(ctx, msgGaveUp, cause, msgAcquired, func() []slog.Attr {
		return withError([]slog.Attr{
			slog.String("host", a.Host), identity(a.Identity), slog.Duration("waited", a.Waited), slog.String("cause", cause),
		}, a.Err)
	})
}

func (l *Log) done(ctx context.Context, d peerpool.AttemptDone) {
	l.log(ctx, msgDone, func() []slog.Attr {
		return []slog.Attr{
			slog.String("host", d.Host), slog.Int("attempt", d.Attempt), slog.Uint64("conn", uint64(d.Conn)),
			slog.Int("status", d.Status), slog.String("close", string(d.Close)), slog.Duration("took", d.Duration),
		}
	})
}

func (l *Log) retried(ctx context.Context, r peerpool.RequestRetry) {
	l.log(ctx, msgRetried, func() []slog.Attr {
		attrs := []slog.Attr{
			slog.String("host", r.Host), identity(r.Identity), slog.Int("attempt", r.Attempt), slog.Uint64("conn", uint64(r.Conn)),
			slog.String("reason", string(r.Reason)),
		}
		return withError(attrs, r.Err)
	})
}

func (l *Log) ended(ctx context.Context, e peerpool.RequestDone) {
	attrs := func() []slog.Attr {
		attrs := []slog.Attr{
			slog.String("host", e.Host), slog.String("method", e.Method), slog.Int("attempts", e.Attempts),
			slog.Int("status", e.Status), slog.Duration("took", e.Duration), slog.String("outcome", string(e.Outcome())),
		}
		if e.Close != "" { // there was a connection
			attrs = append(attrs, slog.Bool("reused", e.Reused), slog.String("close", string(e.Close)))
		}
		if e.ErrorType != "" {
			attrs = append(attrs, slog.String("error_type", string(e.ErrorType)))
		}
		if e.TimeLimit != "" {
			attrs = append(attrs, slog.String("time_limit", string(e.TimeLimit)))
		}
		return withError(attrs, e.Err)
	}
	if e.OverBudget {
		l.logDigest(ctx, msgOverBudget, string(e.ErrorType), msgEnded, attrs)
	}
	switch e.Outcome() {
	case peerpool.OutcomeError:
		l.logDigest(ctx, msgFailed, string(e.ErrorType), msgEnded, attrs)
	case peerpool.OutcomeTruncated:
		l.logDigest(ctx, msgTruncated, string(e.Close), msgEnded, attrs)
	default:
		l.log(ctx, msgEnded, attrs)
	}
}

func (l *Log) closed(c peerpool.ConnClosed) {
	attrs := func() []slog.Attr {
		return []slog.Attr{
			slog.String("host", c.Host), identity(c.Identity), slog.Uint64("conn", uint64(c.Conn)), slog.String("reason", string(c.Reason)),
			slog.Int("uses", c.Uses), slog.Duration("age", c.Age), slog.Bool("in_use", c.InUse),
		}
	}
	switch m := closeMessage(c.Reason); m {
	case msgBroken, msgDrained, msgUnexpected:
		l.logDigest(context.Background(), m, string(c.Reason), msgClosed, attrs)
	default:
		l.log(context.Background(), m, attrs)
	}
}

func (l *Log) quarantined(q peerpool.QuarantineChange) {
	m := msgQuarantined
	if q.Ended {
		m = msgReleased
	}
	l.log(context.Background(), m, func() []slog.Attr {
		return []slog.Attr{
			identity(q.Identity), slog.String("reason", q.Why), slog.Uint64("events", q.Events),
			slog.Time("since", q.Since), slog.Time("last", q.Last),
		}
	})
}

func (l *Log) unconnected(ctx context.Context, c peerpool.ConnectFailed) {
	cause := string(c.ErrorType)
	if c.Silent {
		cause = "silent"
	}
	l.logDigest(ctx, msgUnconnected, cause, msgUnconnectedAgain, func() []slog.Attr {
		return withError([]slog.Attr{
			slog.String("host", c.Host), identity(c.Identity), slog.Any("addr", c.Addr), slog.Duration("took", c.Duration), slog.String("cause", cause),
		}, c.Err)
	})
}

func (l *Log) addressChanged(a peerpool.AddressChange) {
	m := msgLeftOut
	if a.Ended {
		m = msgUsedAgain
	}
	l.logDigest(context.Background(), m, string(a.Reason), msgStateAgain, func() []slog.Attr {
		attrs := []slog.Attr{slog.String("host", a.Host.Address()), identity(a.Identity), slog.Any("addr", a.Addr), slog.String("state", string(a.State))}
		if !a.Ended {
			attrs = append(attrs, slog.String("reason", string(a.Reason)), slog.Int("failures", a.Failures), slog.Time("until", a.Until))
		}
		return withError(attrs, a.Err)
	})
}

func (l *Log) limitsChanged(c peerpool.LimitsChange) {
	l.logDigest(context.Background(), msgLearned, "", msgStateAgain, func() []slog.Attr {
		return []slog.Attr{identity(c.Identity), slog.Duration("idle_time", c.IdleTime), slog.Int("requests", c.Requests)}
	})
}

func identity(id peerpool.Identity) slog.Attr { return slog.String("identity", id.String()) }

func withError(attrs []slog.Attr, err error) []slog.Attr {
	if err == nil {
		return attrs
	}
	return append(attrs, slog.String("error", err.Error()))
}
