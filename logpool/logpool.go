// Package logpool writes what an operator wants to know of a [peerpool.Transport] to a [log/slog.Logger]:
//
//	transport := peerpool.New()
//	transport.Observer = logpool.New(slog.Default()).Observer()
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
type Option func(*Log)

// WithRate writes at most n of each message in a second; 0: 10; negative: all.
func WithRate(n int) Option {
	return func(l *Log) {
		if n != 0 {
			l.rate = n
		}
	}
}

// New returns a Log that writes to logger; nil: to slog.Default() as it is then.
func New(logger *slog.Logger, opts ...Option) *Log {
	if logger == nil {
		logger = slog.Default()
	}
	l := &Log{logger: logger, rate: defaultRate}
	for _, opt := range opts {
		opt(l)
	}
	return l
}

// Observer returns the hooks by which l learns of what happens. They may serve several Transports, which share its rate. A
// level that the logger has not enabled costs no more than asking for it.
func (l *Log) Observer() *peerpool.Observer {
	return &peerpool.Observer{
		Started:  l.started,
		Resolved: l.resolved,
		Dialed:   l.dialed,
		Acquired: l.acquired,
		Done:     l.done,
		Retried:  l.retried,
		Ended:    l.ended,
		Closed:   l.closed,
	}
}

// Log writes what its Observer is told to a logger.
type Log struct {
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
func (l *Log) log(ctx context.Context, m message, attrs func() []slog.Attr) {
	if !l.logger.Enabled(ctx, m.level()) {
		return
	}
	suppressed, ok := l.limits[m].take(l.rate)
	if !ok {
		return
	}
	all := attrs()
	if suppressed > 0 {
		all = append(all, slog.Int("suppressed", suppressed))
	}
	l.logger.LogAttrs(ctx, m.level(), texts[m], all...)
}
