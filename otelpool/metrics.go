package otelpool

import (
	"context"
	"slices"

	"github.com/peerpool/peerpool"
	"github.com/peerpool/peerpool/internal/hosts"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// metrics counts events. An event of every request is only an addition to a number, which a callback reports. An event
// of a connection is recorded at once.
type metrics struct {
	inst    instruments
	servers *hosts.Table[*series]
	names   *hosts.Table[[]attribute.KeyValue] // the attribute dns.question.name
	common  []attribute.KeyValue
}

func newMetrics(meter metric.Meter, limit int, common []attribute.KeyValue) *metrics {
	m := &metrics{common: common}
	m.servers = hosts.New(limit, func(server hosts.Name) *series { return newSeries(common, server) })
	m.names = hosts.New(limit, func(name hosts.Name) []attribute.KeyValue {
		if name.Addr == "" {
			return nil
		}
		return []attribute.KeyValue{semconv.DNSQuestionName(name.Addr)}
	})
	m.inst = newInstruments(meter, m.collect)
	m.inst.confined.Add(context.Background(), 0, metric.WithAttributes(common...)) // the metric exists from the start, at zero
	return m
}

func (m *metrics) observer() *peerpool.Observer {
	return &peerpool.Observer{
		RequestStart: m.started,
		ResolveDone:  m.resolved,
		DialDone:     m.dialed,
		AcquireDone:  m.acquired,
		AttemptDone:  m.done,
		RequestRetry: m.retried,
		RequestDone:  m.ended,
		ConnClosed:   m.closed,

		QuarantineChange: m.quarantined,
	}
}

func (m *metrics) quarantined(q peerpool.QuarantineChange) {
	change := int64(1)
	if q.Ended {
		change = -1
	}
	m.inst.confined.Add(context.Background(), change, metric.WithAttributes(m.common...))
}

func (m *metrics) started(_ context.Context, s peerpool.RequestStart) {
	m.servers.Of(s.Scheme, s.Host).requests.add(s.Method, 1)
}

func (m *metrics) ended(_ context.Context, e peerpool.RequestDone) {
	s := m.servers.Of(e.Scheme, e.Host)
	s.requests.add(e.Method, -1)
	if e.TimeLimit != "" {
		s.timeouts.add(string(e.TimeLimit), 1)
	}
	switch {
	case e.Attempts <= 1:
	case e.Err == nil:
		s.retried.add(retrySaved, 1)
	default:
		s.retried.add(retryFailed, 1)
	}
}

func (m *metrics) resolved(ctx context.Context, r peerpool.ResolveDone) {
	attrs := slices.Concat(m.names.Of("", r.Host), m.common)
	attrs = appendErrorType(attrs, r.ErrorType)
	m.inst.lookups.Record(ctx, r.Duration.Seconds(), metric.WithAttributes(attrs...))
}

func (m *metrics) dialed(ctx context.Context, d peerpool.DialDone) {
	s := m.servers.Of(d.Identity.Scheme(), d.Host)
	if d.Conn != 0 {
		c := &s.conns[protocolIndex(d.Protocol)]
		c.seen.Store(true)
		c.open.Add(1)
	}
	m.inst.dials.Record(ctx, d.Total.Seconds(), metric.WithAttributeSet(s.with(errorAttributes(d.ErrorType)...)))
}

func errorAttributes(kind peerpool.ErrorType) []attribute.KeyValue { return appendErrorType(nil, kind) }

func (m *metrics) acquired(ctx context.Context, a peerpool.AcquireDone) {
	s := m.servers.Of(a.Identity.Scheme(), a.Host)
	if a.Err != nil {
		s.acquires.add(outcomeError, 1)
	} else {
		s.acquires.add(string(a.Miss), 1)
	}
	if a.Err != nil || a.Miss != "" {
		m.inst.waits.Record(ctx, a.Waited.Seconds(), metric.WithAttributeSet(s.with(errorAttributes(a.ErrorType)...)))
	}
	if a.Err == nil && a.Requests == 1 {
		m.connsOf(a.Identity, a.ConnHost, a.Protocol).active.Add(1)
	}
}

func (m *metrics) connsOf(id peerpool.Identity, host, protocol string) *connections {
	return &m.servers.Of(id.Scheme(), host).conns[protocolIndex(protocol)]
}

func (m *metrics) done(_ context.Context, d peerpool.AttemptDone) {
	c := m.connsOf(d.Identity, d.ConnHost, d.Protocol)
	if d.Requests == 0 {
		c.active.Add(-1)
	}
	if d.Close == closeHijacked {
		c.open.Add(-1)
	}
}

func (m *metrics) retried(_ context.Context, r peerpool.RequestRetry) {
	m.servers.Of(r.Identity.Scheme(), r.Host).retries.add(string(r.Reason), 1)
}

func (m *metrics) closed(c peerpool.ConnClosed) {
	s := m.servers.Of(c.Identity.Scheme(), c.Host)
	s.conns[protocolIndex(c.Protocol)].open.Add(-1)
	s.closes.add(string(c.Reason), 1)
	ctx := context.Background()
	set := s.with(semconv.NetworkProtocolVersion(protocols[protocolIndex(c.Protocol)]))
	m.inst.lifetimes.Record(ctx, c.Age.Seconds(), metric.WithAttributeSet(set))
	m.inst.perConn.Record(ctx, int64(c.Uses), metric.WithAttributeSet(set))
}
