// Package logpool writes what an operator wants to know of a [peerpool.Transport] to a [log/slog.Logger]:
//
//	transport := &peerpool.Transport{Observer: logpool.New(slog.Default())}
//
//	level  message
//	warn   a server sent what nobody asked for, or what two readers could read differently
//	info   a request is sent again; a connection was closed because something went wrong on it
//	debug  look-ups, dials, connections acquired and given back, requests, all other closes
//
// Of each message only the first few of a second are written; the next one that is says how many were not. No
// message holds a secret: a [peerpool.Identity] hides its own, and the URL of a request is never written.
package logpool

import (
	"context"
	"log/slog"

	"github.com/peerpool/peerpool"
)

// defaultRate is how many of one message are written in a second.
const defaultRate = 10

// Option changes what [New] returns.
type Option func(*observer)

// WithRate writes at most n of each message in a second; 0: 10; negative: all.
func WithRate(n int) Option {
	return func(o *observer) {
		if n != 0 {
			o.rate = n
		}
	}
}

// New returns an Observer that writes to logger; nil: to slog.Default() as it is then. It may serve several
// Transports, which share its rate. A level that logger has not enabled costs no more than asking for it.
func New(logger *slog.Logger, opts ...Option) *peerpool.Observer {
	if logger == nil {
		logger = slog.Default()
	}
	o := &observer{logger: logger, rate: defaultRate}
	for _, opt := range opts {
		opt(o)
	}
	return &peerpool.Observer{
		Started:  o.started,
		Resolved: o.resolved,
		Dialed:   o.dialed,
		Acquired: o.acquired,
		Done:     o.done,
		Retried:  o.retried,
		Ended:    o.ended,
		Closed:   o.closed,
	}
}

type observer struct {
	logger *slog.Logger
	rate   int
	limits [numMessages]limit
}

// message is a kind of record, with a rate of its own.
type message int

const (
	msgUnexpected message = iota
	msgBroken
	msgRetried
	msgClosed
	msgStarted
	msgResolved
	msgDialed
	msgAcquired
	msgDone
	msgEnded
	numMessages
)

// texts are what the records say.
var texts = [numMessages]string{
	msgUnexpected: "peerpool: server out of step, connection closed",
	msgBroken:     "peerpool: connection failed",
	msgRetried:    "peerpool: request sent again",
	msgClosed:     "peerpool: connection closed",
	msgStarted:    "peerpool: request started",
	msgResolved:   "peerpool: host looked up",
	msgDialed:     "peerpool: dialed",
	msgAcquired:   "peerpool: connection acquired",
	msgDone:       "peerpool: attempt done",
	msgEnded:      "peerpool: request ended",
}

func (m message) level() slog.Level {
	switch m {
	case msgUnexpected:
		return slog.LevelWarn
	case msgBroken, msgRetried:
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

// closeMessage says what kind of close a reason stands for.
func closeMessage(reason peerpool.CloseReason) message {
	switch reason {
	case "unexpected_data", "ambiguous_framing":
		return msgUnexpected
	case "error", "timeout", "ping_timeout", "protocol":
		return msgBroken
	}
	return msgClosed
}

// log writes a record, if anybody wants it and not too many have been written. attrs is called only then.
func (o *observer) log(ctx context.Context, m message, attrs func() []slog.Attr) {
	if !o.logger.Enabled(ctx, m.level()) {
		return
	}
	suppressed, ok := o.limits[m].take(o.rate)
	if !ok {
		return
	}
	all := attrs()
	if suppressed > 0 {
		all = append(all, slog.Int("suppressed", suppressed))
	}
	o.logger.LogAttrs(ctx, m.level(), texts[m], all...)
}
