package otelpool

import (
	"slices"
	"sync/atomic"

	"github.com/peerpool/peerpool"
	"github.com/peerpool/peerpool/internal/hosts"
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// closeHijacked is the Close of an AttemptDone if the caller owns the connection from then on.
const closeHijacked = "hijacked"

// closeUnexpected is the Close of an AttemptDone if the server sent bytes behind the response that answer no request.
const closeUnexpected = "unexpected_data"

// reasonStray is the close reason that has its own counter.
const reasonStray = "unexpected_data"

// series counts what happens to one server, so that a request does not have to call instruments. All values of a label
// are known beforehand, so counting is only an addition.
type series struct {
	attrs []attribute.KeyValue // common to all points of the series

	conns    [2]connections // by protocol, see protocolIndex
	requests counts         // under way, by method
	acquires counts         // by outcome and reason
	closes   counts
	retries  counts
	retried  counts // by outcome
	timeouts counts // by time limit
}

// connections counts the connections of one protocol.
type connections struct {
	open   atomic.Int64
	active atomic.Int64 // connections with a request on them; not more than open, except for a moment
	seen   atomic.Bool
}

// state returns how many connections are active and idle. The events are counted one after the other, so for a moment,
// a closed connection may still seem to be active.
func (c *connections) state() (active, idle int64) {
	open := max(0, c.open.Load())
	active = min(max(0, c.active.Load()), open)
	return active, open - active
}

// protocols are the values of network.protocol.version.
var protocols = [...]string{"1.1", "2"}

func protocolIndex(protocol string) int {
	if protocol == "HTTP/2" || protocol == "h2" {
		return 1
	}
	return 0
}

// counts holds a number for each label.
type counts struct {
	labels *labels
	of     []count
}

type count struct {
	n    atomic.Int64
	seen atomic.Bool
}

// labels holds the attribute sets that a counter may have. A value that is not among them counts as the last one.
type labels struct {
	values []string
	attrs  [][]attribute.KeyValue
	listed int // how many of the first are reported at zero before they have been counted
}

func (l *labels) add(value string, attrs ...attribute.KeyValue) {
	l.values = append(l.values, value)
	l.attrs = append(l.attrs, attrs)
}

func labelsOf[S ~string](key attribute.Key, values []S, rest string) *labels {
	l := &labels{}
	for _, v := range values {
		l.add(string(v), key.String(string(v)))
	}
	l.add(rest, key.String(rest))
	return l
}

func newCounts(l *labels) counts { return counts{labels: l, of: make([]count, len(l.values))} }

func (c *counts) add(value string, n int64) {
	i := slices.Index(c.labels.values, value)
	if i < 0 {
		i = len(c.of) - 1
	}
	c.of[i].n.Add(n)
	if !c.of[i].seen.Load() {
		c.of[i].seen.Store(true)
	}
}

// fromZero makes all labels reported from the start, except for the last ones, whose number is but. If a counter appears
// with its first event, no increase shows.
func (l *labels) fromZero(but int) *labels {
	l.listed = len(l.values) - but
	return l
}

// each calls f for every label that has been counted, or that is reported from the start.
func (c *counts) each(f func(n int64, attrs []attribute.KeyValue)) {
	for i := range c.of {
		if i < c.labels.listed || c.of[i].seen.Load() {
			f(c.of[i].n.Load(), c.labels.attrs[i])
		}
	}
}

func (c *counts) value(label string) int64 {
	return c.of[slices.Index(c.labels.values, label)].n.Load()
}

// methods are the known values of http.request.method.
var methods = []string{"GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "CONNECT", "TRACE", "QUERY"}

var (
	methodLabels  = labelsOf(semconv.HTTPRequestMethodKey, methods, "_OTHER")
	closeLabels   = labelsOf(keyClose, peerpool.CloseReasons(), hosts.Other).fromZero(1)
	retryLabels   = labelsOf(keyRetry, peerpool.RetryReasons(), hosts.Other).fromZero(1)
	limitLabels   = labelsOf(keyTimeLimit, peerpool.TimeLimits(), hosts.Other).fromZero(1)
	outcomeLabels = labelsOf(keyRetryOutcome, []string{retrySaved}, retryFailed).fromZero(0)
	acquireLabels = newAcquireLabels().fromZero(0)
)

// newAcquireLabels returns the labels of acquires: "" for a hit, the reason for a miss, and "error" for anything else.
func newAcquireLabels() *labels {
	l := &labels{}
	l.add("", keyOutcome.String(outcomeHit))
	for _, miss := range peerpool.MissReasons() {
		l.add(string(miss), keyOutcome.String(outcomeMiss), keyMiss.String(string(miss)))
	}
	l.add(outcomeError, keyOutcome.String(outcomeError))
	return l
}

func newSeries(common []attribute.KeyValue, server hosts.Name) *series {
	s := &series{
		attrs:    slices.Clone(common),
		requests: newCounts(methodLabels),
		acquires: newCounts(acquireLabels),
		closes:   newCounts(closeLabels),
		retries:  newCounts(retryLabels),
		retried:  newCounts(outcomeLabels),
		timeouts: newCounts(limitLabels),
	}
	if server.Addr != "" {
		s.attrs = append(s.attrs, semconv.ServerAddress(server.Addr))
	}
	if server.Port != 0 {
		s.attrs = append(s.attrs, semconv.ServerPort(server.Port))
	}
	return s
}

// with returns the attributes of a point.
func (s *series) with(attrs ...attribute.KeyValue) attribute.Set {
	return attribute.NewSet(slices.Concat(s.attrs, attrs)...)
}
