// Package logpool logs what an operator needs to know about a [peerpool.Transport] to a [log/slog.Logger]:
//
//	transport := peerpool.New()
//	transport.Observer = logpool.New(slog.Default()).Observer()
//
//	level  message
//	warn   a server has sent bytes that answer no request, or a response that two readers could understand differently
//	info   a look-up, a dial or a request has failed, a response was truncated, or a connection was drained
//	       a request is sent again, or a connection was closed because something went wrong on it
//	       requests wait for a connection, or have ended while they waited, because of MaxConnsPerHost
//	debug  everything else: look-ups, dials, connections acquired and given back, requests, all other closes
//
// The package logs each kind of failure, such as a refused connection, a time-out or a wrong certificate, once in ten
// seconds. It does the same for warnings, for requests that wait, and for connections that were drained. The record
// says how many times that has happened since it was last logged. Of any other message, the package logs only the first
// few in a second. The next record of that message says how many were not logged. No record holds a secret: a
// [peerpool.Identity] hides its secrets, and the URL of a request is never logged.
package logpool

import (
	"context"
	"log/slog"
	"time"

	"github.com/peerpool/peerpool"
)

const (
	// defaultRate is how many records of one message are written in a second.
	defaultRate = 10
	// defaultInterval is the interval in which each kind of failure is written once.
	defaultInterval = 10 * time.Second
)

// An Option changes the Log that [New] returns.
type Option func(*Log)

// WithRate limits how many records of each message are written in a second. If n is zero, the limit is 10. If n is
// negative, there is no limit.
func WithRate(n int) Option {
	return func(l *Log) {
		if n != 0 {
			l.rate = n
		}
	}
}

// WithInterval sets how often each kind of failure is written: at most once in d. If d is zero, the interval is 10
// seconds. If d is negative, every failure is written.
func WithInterval(d time.Duration) Option {
	return func(l *Log) {
		if d != 0 {
			l.interval = d
		}
	}
}

// New returns a Log that writes to logger. If logger is nil, the Log writes to the logger that slog.Default returns
// when New is called.
func New(logger *slog.Logger, opts ...Option) *Log {
	if logger == nil {
		logger = slog.Default()
	}
	l := &Log{logger: logger, rate: defaultRate, interval: defaultInterval}
	for _, opt := range opts {
		opt(l)
	}
	return l
}

// Observer returns the Observer through which l receives events. Several Transports may use it and then share the
// limits of l. If the logger has a level disabled, an event of that level costs only the call of the logger that
// finds this out.
func (l *Log) Observer() *peerpool.Observer {
	return &peerpool.Observer{
		RequestStart: l.started,
		ResolveDone:  l.resolved,
		DialDone:     l.dialed,
		AcquireWait:  l.heldBack,
		AcquireDone:  l.acquired,
		AttemptDone:  l.done,
		RequestRetry: l.retried,
		RequestDone:  l.ended,
		ConnClosed:   l.closed,

		QuarantineChange: l.quarantined,
		ConnectFailed:    l.unconnected,
		AddressChange:    l.addressChanged,
		LimitsChange:     l.limitsChanged,
	}
}

// Log writes the events that its Observer receives to a logger.
type Log struct {
	logger *slog.Logger
	rate   int
	limits [numMessages]limit

	interval time.Duration
	digest   digest
	backlog  backlog
}

// message is a kind of record with its own rate.
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
	msgUnresolved
	msgUndialed
	msgFailed
	msgTruncated
	msgDrained
	msgQuarantined
	msgReleased
	msgUnconnected
	msgUnconnectedAgain
	msgLeftOut
	msgUsedAgain
	msgLearned
	msgReplaced
	msgOverBudget
	msgStateAgain
	msgHeldBack
	msgHeldBackAgain
	msgGaveUp
	numMessages
)

// texts holds the texts of the records.
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
	msgUnresolved: "peerpool: look-up failed",
	msgUndialed:   "peerpool: dial failed",
	msgFailed:     "peerpool: request failed",
	msgTruncated:  "peerpool: response truncated",
	msgDrained:    "peerpool: connection drained",

	msgQuarantined:      "peerpool: server in quarantine, connections serve one request each",
	msgReleased:         "peerpool: server out of quarantine",
	msgUnconnected:      "peerpool: connect failed, another address is tried",
	msgUnconnectedAgain: "peerpool: connect failed",
	msgStateAgain:       "peerpool: state changed",
	msgLearned:          "peerpool: limit of a server learned",
	msgReplaced:         "peerpool: connection replaced before it reaches a limit",
	msgOverBudget:       "peerpool: request not sent again, retry budget used up",
	msgLeftOut:          "peerpool: address left out",
	msgUsedAgain:        "peerpool: address used again",

	msgHeldBack:      "peerpool: requests wait for a connection, MaxConnsPerHost is reached",
	msgHeldBackAgain: "peerpool: request waits for a connection",
	msgGaveUp:        "peerpool: request ended while it waited for a connection, MaxConnsPerHost is reached",
}

func (m message) level() slog.Level {
	switch m {
	case msgUnexpected, msgQuarantined:
		return slog.LevelWarn
	case msgBroken, msgRetried, msgUnresolved, msgUndialed, msgFailed, msgTruncated, msgDrained, msgReleased,
		msgUnconnected, msgLeftOut, msgUsedAgain, msgLearned, msgReplaced, msgOverBudget, msgHeldBack, msgGaveUp:
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

// closeMessage returns the message for a close with this reason.
func closeMessage(reason peerpool.CloseReason) message {
	switch reason {
	case "unexpected_data", "ambiguous_framing":
		return msgUnexpected
	case "error", "timeout", "ping_timeout", "protocol":
		return msgBroken
	case "drain":
		return msgDrained
	}
	return msgClosed
}

// log writes a record if the logger has its level enabled and the limit allows it. Only then does it call attrs.
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

// logDigest writes a record of something that may happen often, and returns true. If a record of that kind was written a
// short time ago, logDigest writes a record of the message otherwise instead, which is for debugging, and returns false.
func (l *Log) logDigest(ctx context.Context, m message, kind string, otherwise message, attrs func() []slog.Attr) (written bool) {
	if !l.logger.Enabled(ctx, m.level()) {
		return false
	}
	times, ok := l.digest.take(occasion{m, kind}, l.interval)
	if !ok {
		l.log(ctx, otherwise, attrs)
		return false
	}
	l.logger.LogAttrs(ctx, m.level(), texts[m], append(attrs(), slog.Int("times", times))...)
	return true
}
