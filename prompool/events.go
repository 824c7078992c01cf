package prompool

import (
	"context"
	"time"

	"github.com/peerpool/peerpool"
	"github.com/peerpool/peerpool/internal/hosts"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
)

// These are the buckets of the classic histograms. OpenTelemetry recommends them for the same measurements.
var (
	durationBuckets   = []float64{.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10}
	connectionBuckets = []float64{.01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30, 60, 120, 300}
	requestBuckets    = []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000}
)

// events counts what Stats does not count: how long things took, and for which host.
type events struct {
	requests *prometheus.CounterVec
	underway *prometheus.GaugeVec
	heads    *prometheus.HistogramVec
	acquires *prometheus.CounterVec
	stale    *prometheus.CounterVec
	waits    *prometheus.HistogramVec
	waited   *prometheus.CounterVec
	connects *prometheus.CounterVec
	ejected  *prometheus.CounterVec
	dials    *prometheus.HistogramVec
	undialed *prometheus.CounterVec
	lookups  *prometheus.HistogramVec
	answers  *prometheus.CounterVec
	ages     *prometheus.HistogramVec
	uses     *prometheus.HistogramVec

	servers *hosts.Table[*server]
	names   *hosts.Table[lookup]
}

// server holds the counters of one host, or of all hosts.
type server struct {
	outcomes             map[peerpool.RequestOutcome]prometheus.Counter // all outcomes except errors
	failures             map[peerpool.ErrorType]prometheus.Counter      // the errors, by type
	underway             prometheus.Gauge
	heads                prometheus.Observer
	hits, misses, errors prometheus.Counter
	stale                prometheus.Counter
	waits, waitsInVain   prometheus.Observer
	waited               waits
	unconnected          map[peerpool.ErrorType]prometheus.Counter
	ejected              map[peerpool.EjectReason]prometheus.Counter
	dialed, undialed     prometheus.Observer
	undialedBy           map[failedHop]prometheus.Counter
	ages, uses           prometheus.Observer
}

type lookup struct {
	found, failed prometheus.Observer
	answers       results
}

func newEvents(pool prometheus.Labels, limit int) *events {
	var host []string // the label, if the metrics distinguish hosts
	if limit > 0 {
		host = []string{"host"}
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "peerpool_" + name, Help: help, ConstLabels: pool, Buckets: buckets,
			NativeHistogramBucketFactor:     1.1,
			NativeHistogramMaxBucketNumber:  160,
			NativeHistogramMinResetDuration: time.Hour,
		}, append(labels, host...))
	}
	e := &events{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "peerpool_requests_total", ConstLabels: pool,
			Help: "Requests that have ended, by outcome: response, truncated, canceled, or error. Errors also have a type.",
		}, append([]string{"outcome", "error_type"}, host...)),
		underway: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "peerpool_requests_in_progress", ConstLabels: pool,
			Help: "Requests under way, until their response's body has been read or closed.",
		}, host),
		heads: histogram("response_head_duration_seconds",
			"Time until the head of the response, retries included, of requests that got one.", durationBuckets),
		acquires: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "peerpool_acquires_total", ConstLabels: pool,
			Help: "Attempts that asked for a connection, by outcome: hit for an idle one, miss, or error.",
		}, append([]string{"outcome"}, host...)),
		stale: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "peerpool_stale_connections_total", ConstLabels: pool,
			Help: "Attempts whose connection had been used before and was dead: the server closed it as the request was sent.",
		}, host),
		waits: histogram("wait_duration_seconds",
			"Time that attempts without an idle connection have waited for one, by outcome: success or error.", durationBuckets, "outcome"),
		waited: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "peerpool_waits_total", ConstLabels: pool,
			Help: "Attempts that have waited for a connection, by result: dialed or released for the connection that they got, error, or canceled.",
		}, append([]string{"result"}, host...)),
		connects: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "peerpool_connect_failures_total", ConstLabels: pool,
			Help: "Connects that failed to one of several addresses of a host, by type of error, or silent if a later address answered before. The dial may have succeeded.",
		}, append([]string{"error_type"}, host...)),
		ejected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "peerpool_ejections_total", ConstLabels: pool,
			Help: "Times that an address of a host was left out, or was left out for longer, by reason.",
		}, append([]string{"reason"}, host...)),
		dials: histogram("dial_duration_seconds",
			"Time to set a connection up, look-up and TLS included, by outcome: success or error.", durationBuckets, "outcome"),
		undialed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "peerpool_dial_failures_total", ConstLabels: pool,
			Help: "Dials that failed, by the hop that failed and the type of its error. The hop resolve is a look-up before the dial.",
		}, append([]string{"hop", "error_type"}, host...)),
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "peerpool_dns_lookups_total", ConstLabels: pool,
			Help: "Look-ups of hosts, by outcome: success, error with its type, or canceled.",
		}, append([]string{"outcome", "error_type"}, host...)),
		lookups: histogram("dns_lookup_duration_seconds",
			"Time to look a host up, by outcome: success or error.", durationBuckets, "outcome"),
		ages: histogram("connection_duration_seconds",
			"Age of connections when they are closed.", connectionBuckets),
		uses: histogram("connection_requests",
			"Requests that a connection has carried when it is closed.", requestBuckets),
	}
	e.servers = hosts.New(limit, func(n hosts.Name) *server { return e.server(labelsOf(n, n.String())) })
	e.names = hosts.New(limit, func(n hosts.Name) lookup {
		host := labelsOf(n, n.Addr)
		return lookup{
			e.lookups.WithLabelValues(host("success")...), e.lookups.WithLabelValues(host("error")...),
			newResults(e.answers, host, peerpool.ResolveErrorTypes()),
		}
	})
	return e
}

// labelsOf returns a function that appends the host, which may be "", to the values of other labels. It appends nothing if n is
// the zero Name, because the metrics then have no label for the host.
func labelsOf(n hosts.Name, host string) func(...string) []string {
	return func(values ...string) []string {
		if n == (hosts.Name{}) {
			return values
		}
		return append(values, host)
	}
}

func (e *events) server(host func(...string) []string) *server {
	outcomes := make(map[peerpool.RequestOutcome]prometheus.Counter)
	for _, outcome := range peerpool.RequestOutcomes() {
		if outcome != peerpool.OutcomeError {
			outcomes[outcome] = e.requests.WithLabelValues(host(string(outcome), "")...)
		}
	}
	failures := make(map[peerpool.ErrorType]prometheus.Counter)
	for _, kind := range peerpool.ErrorTypes() {
		failures[kind] = e.requests.WithLabelValues(host(string(peerpool.OutcomeError), string(kind))...)
	}
	undialedBy := make(map[failedHop]prometheus.Counter)
	for _, f := range failedHops() {
		undialedBy[f] = e.undialed.WithLabelValues(host(f.hop, string(f.kind))...)
	}
	unconnected := map[peerpool.ErrorType]prometheus.Counter{silent: e.connects.WithLabelValues(host(silent)...)}
	for _, kind := range peerpool.ConnectErrorTypes() {
		unconnected[kind] = e.connects.WithLabelValues(host(string(kind))...)
	}
	ejected := make(map[peerpool.EjectReason]prometheus.Counter)
	for _, reason := range peerpool.EjectReasons() {
		ejected[reason] = e.ejected.WithLabelValues(host(string(reason))...)
	}
	return &server{
		unconnected: unconnected,
		ejected:     ejected,
		outcomes:    outcomes,
		failures:    failures,
		underway:    e.underway.WithLabelValues(host()...),
		heads:       e.heads.WithLabelValues(host()...),
		hits:        e.acquires.WithLabelValues(host("hit")...),
		misses:      e.acquires.WithLabelValues(host("miss")...),
		errors:      e.acquires.WithLabelValues(host("error")...),
		stale:       e.stale.WithLabelValues(host()...),
		waits:       e.waits.WithLabelValues(host("success")...),
		waitsInVain: e.waits.WithLabelValues(host("error")...),
		waited: waits{
			e.waited.WithLabelValues(host("dialed")...), e.waited.WithLabelValues(host("released")...),
			e.waited.WithLabelValues(host("error")...), e.waited.WithLabelValues(host("canceled")...),
		},
		dialed:     e.dials.WithLabelValues(host("success")...),
		undialed:   e.dials.WithLabelValues(host("error")...),
		undialedBy: undialedBy,
		ages:       e.ages.WithLabelValues(host()...),
		uses:       e.uses.WithLabelValues(host()...),
	}
}

func (e *events) all() []prometheus.Collector {
	return []prometheus.Collector{
		e.requests, e.underway, e.heads, e.acquires, e.stale, e.waits, e.waited, e.connects, e.ejected, e.dials, e.undialed, e.lookups, e.answers, e.ages, e.uses,
	}
}

func (e *events) observer() *peerpool.Observer {
	return &peerpool.Observer{
		RequestStart: e.started, ResolveDone: e.resolved, ConnectFailed: e.unconnected, DialDone: e.dialed, AcquireDone: e.acquired,
		AttemptDone: e.done, RequestDone: e.ended, ConnClosed: e.closed, AddressChange: e.addressChanged,
	}
}

func (e *events) started(_ context.Context, s peerpool.RequestStart) {
	e.servers.Of(s.Scheme, s.Host).underway.Inc()
}

func (e *events) ended(ctx context.Context, r peerpool.RequestDone) {
	s := e.servers.Of(r.Scheme, r.Host)
	s.underway.Dec()
	outcome := r.Outcome()
	switch failure := s.failures[r.ErrorType]; {
	case outcome != peerpool.OutcomeError:
		s.outcomes[outcome].Inc()
	case failure != nil:
		failure.Inc()
	default:
		s.failures["_OTHER"].Inc()
	}
	if r.Head > 0 {
		observe(ctx, s.heads, r.Head)
	}
}

func (e *events) resolved(ctx context.Context, r peerpool.ResolveDone) {
	l := e.names.Of("", r.Host)
	l.answers.count(r.Err, r.ErrorType)
	if r.Err != nil {
		observe(ctx, l.failed, r.Duration)
		return
	}
	observe(ctx, l.found, r.Duration)
}

// silent is the error type of an attempt to connect whose address had not answered when a later address did.
const silent = "silent"

func (e *events) unconnected(_ context.Context, c peerpool.ConnectFailed) {
	kind := c.ErrorType
	if c.Silent {
		kind = silent
	}
	if n := e.servers.Of(c.Identity.Scheme(), c.Host).unconnected[kind]; n != nil { // nil if it was canceled
		n.Inc()
	}
}

func (e *events) addressChanged(a peerpool.AddressChange) {
	if n := e.servers.Of(a.Host.Scheme(), a.Host.Address()).ejected[a.Reason]; n != nil && !a.Ended {
		n.Inc()
	}
}

func (e *events) dialed(ctx context.Context, d peerpool.DialDone) {
	s := e.servers.Of(d.Identity.Scheme(), d.Host)
	if d.Err != nil {
		observe(ctx, s.undialed, d.Total)
		if d.ErrorType != "" { // empty if the dial was canceled
			s.failedAt(d.Hop, d.HopErrorType).Inc()
		}
		return
	}
	observe(ctx, s.dialed, d.Total)
}

// failedAt returns the counter of dials that failed at a hop.
func (s *server) failedAt(hop string, kind peerpool.ErrorType) prometheus.Counter {
	if c := s.undialedBy[failedHop{hop, kind}]; c != nil {
		return c
	}
	return s.undialedBy[otherHop]
}

// done counts the reused connections that failed before a byte of the response arrived, because the server had closed
// them without the pool noticing. It does not count a new connection that fails, which has another cause.
func (e *events) done(_ context.Context, d peerpool.AttemptDone) {
	if d.Close == "error" && d.Reused && !d.Started {
		e.servers.Of(d.Identity.Scheme(), d.Host).stale.Inc()
	}
}

func (e *events) acquired(ctx context.Context, a peerpool.AcquireDone) {
	s := e.servers.Of(a.Identity.Scheme(), a.Host)
	switch {
	case a.Err != nil:
		s.errors.Inc()
		result := s.waited.failed
		if a.ErrorType == "" {
			result = s.waited.canceled
		}
		result.Inc()
		observe(ctx, s.waitsInVain, a.Waited)
	case a.Miss == "":
		s.hits.Inc()
	default:
		s.misses.Inc()
		result := s.waited.dialed
		if a.Reused {
			result = s.waited.released
		}
		result.Inc()
		observe(ctx, s.waits, a.Waited)
	}
}

func (e *events) closed(c peerpool.ConnClosed) {
	s := e.servers.Of(c.Identity.Scheme(), c.Host)
	s.ages.Observe(c.Age.Seconds())
	s.uses.Observe(float64(c.Uses))
}

// observe records a duration, with the trace of ctx as an exemplar if its span is sampled.
func observe(ctx context.Context, h prometheus.Observer, d time.Duration) {
	if span := trace.SpanContextFromContext(ctx); span.IsSampled() {
		if h, ok := h.(prometheus.ExemplarObserver); ok {
			h.ObserveWithExemplar(d.Seconds(), prometheus.Labels{
				"trace_id": span.TraceID().String(), "span_id": span.SpanID().String(),
			})
			return
		}
	}
	h.Observe(d.Seconds())
}
