package otelpool

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/peerpool/peerpool"
	"github.com/peerpool/peerpool/internal/hosts"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// These are the events on the span of a request.
const (
	eventAcquire = "peerpool.acquire"
	eventRetry   = "peerpool.retry"
	eventFailure = "peerpool.failure"
	eventPlanted = "peerpool.unexpected_data"
)

// These are the beginnings of the names of spans. The rest of a name says what the span is about.
const (
	spanSetup   = "HTTP connection_setup "
	spanWait    = "HTTP wait_for_connection "
	spanLookup  = "DNS lookup "
	spanConnect = "socket connect "
	spanProxy   = "proxy handshake "
	spanTLS     = "TLS client handshake "
)

// tracing makes spans. It makes each span when the work that the span describes is over, with the times at which that
// work began and ended.
type tracing struct {
	tracer  trace.Tracer
	setups  setups
	answers answers
}

func newTracing(tracer trace.Tracer) *tracing { return &tracing{tracer: tracer} }

func (t *tracing) observer() *peerpool.Observer {
	return &peerpool.Observer{
		ResolveDone: t.resolved, DialDone: t.dialed, AcquireDone: t.acquired, AttemptDone: t.done,
		RequestRetry: t.retried, RequestDone: t.ended, ConnClosed: t.closed,
	}
}

// setups remembers the sampled spans of the setups of connections, as long as the pool has the connections.
type setups struct {
	mu    sync.RWMutex // guards spans
	spans map[peerpool.ConnID]trace.SpanContext
}

func (s *setups) put(conn peerpool.ConnID, span trace.SpanContext) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.spans == nil {
		s.spans = make(map[peerpool.ConnID]trace.SpanContext)
	}
	s.spans[conn] = span
}

func (s *setups) get(conn peerpool.ConnID) (trace.SpanContext, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	span, ok := s.spans[conn]
	return span, ok
}

func (s *setups) forget(conn peerpool.ConnID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.spans, conn)
}

func (t *tracing) closed(c peerpool.ConnClosed) { t.setups.forget(c.Conn) }

func (t *tracing) done(ctx context.Context, d peerpool.AttemptDone) {
	switch d.Close {
	case closeHijacked:
		t.setups.forget(d.Conn)
	case closeUnexpected:
		addUnexpected(trace.SpanFromContext(ctx), d.Identity, placeBehind, keyConn.Int64(int64(d.Conn)))
	}
}

// addUnexpected adds to the span of a request that it has met a server that sent bytes that answer no request.
func addUnexpected(span trace.Span, id peerpool.Identity, place string, more ...attribute.KeyValue) {
	if span.IsRecording() {
		attrs := append(more, keyIdentity.String(id.String()), keyPlace.String(place))
		span.AddEvent(eventPlanted, trace.WithAttributes(attrs...))
	}
}

// acquired adds to the span of a request how the request got its connection.
func (t *tracing) acquired(ctx context.Context, a peerpool.AcquireDone) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	if a.UnexpectedData {
		addUnexpected(span, a.Identity, placeIdle)
	}
	if a.Miss != "" || a.Err != nil {
		t.waited(ctx, a)
	}
	if setup, ok := t.setups.get(a.Conn); ok {
		span.AddLink(trace.Link{SpanContext: setup})
	}
	span.AddEvent(eventAcquire, trace.WithAttributes(acquireAttributes(a)...))
}

func acquireAttributes(a peerpool.AcquireDone) []attribute.KeyValue {
	attrs := []attribute.KeyValue{
		keyOutcome.String(outcomeOf(a)),
		keyIdentity.String(a.Identity.String()),
		keyAttempt.Int(a.Attempt),
		keyWait.Float64(a.Waited.Seconds()),
	}
	if a.HeldBack {
		attrs = append(attrs, keyWaitReason.String(waitMaxConns))
	}
	if a.Err != nil {
		return appendErrorType(attrs, a.ErrorType)
	}
	if a.Miss != "" {
		attrs = append(attrs, keyMiss.String(string(a.Miss)))
	}
	return append(attrs,
		keyConn.Int64(int64(a.Conn)),
		keyUses.Int(a.Uses),
		keyAge.Float64(a.Age.Seconds()),
		keyIdle.Float64(a.Idle.Seconds()),
	)
}

func appendErrorType(attrs []attribute.KeyValue, kind peerpool.ErrorType) []attribute.KeyValue {
	if kind != "" {
		attrs = append(attrs, semconv.ErrorTypeKey.String(string(kind)))
	}
	return attrs
}

func outcomeOf(a peerpool.AcquireDone) string {
	switch {
	case a.Err != nil:
		return outcomeError
	case a.Miss != "":
		return outcomeMiss
	}
	return outcomeHit
}

func (t *tracing) waited(ctx context.Context, a peerpool.AcquireDone) {
	now := time.Now()
	begun := now.Add(-a.Waited)
	server := hosts.Parse(a.Identity.Scheme(), a.Host)
	ctx, span := t.tracer.Start(ctx, spanWait+server.String(), trace.WithTimestamp(begun))
	if a.Resolve > 0 { // even if the request got the connection of another request
		var errorType peerpool.ErrorType
		if a.Hop == "resolve" {
			errorType = a.HopErrorType
		}
		t.lookup(ctx, server.Addr, begun, a.Resolve, errorType, a.Err)
	}
	err := a.Err
	if a.HeldBack {
		span.SetAttributes(keyWaitReason.String(waitMaxConns))
		if err != nil && a.Hop == "" {
			err = fmt.Errorf("the request waited for a connection, because MaxConnsPerHost is reached: %w", err)
		}
	}
	fail(span, a.ErrorType, err)
	span.End(trace.WithTimestamp(now))
}

// fail sets the status of a span to an error with the text of err, and adds the attribute error.type. It does nothing if
// kind is "".
func fail(span trace.Span, kind peerpool.ErrorType, err error) {
	if kind == "" {
		return
	}
	text := string(kind)
	if err != nil {
		text = err.Error()
	}
	span.SetStatus(codes.Error, text)
	span.SetAttributes(semconv.ErrorTypeKey.String(string(kind)))
}

// retried adds an event to the span of a request. If a retry has helped, the failure is not an error of the request.
func (t *tracing) retried(ctx context.Context, r peerpool.RequestRetry) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	attrs := []attribute.KeyValue{
		keyRetry.String(string(r.Reason)),
		keyAttempt.Int(r.Attempt),
		keyConn.Int64(int64(r.Conn)),
		keyIdentity.String(r.Identity.String()),
	}
	span.AddEvent(eventRetry, trace.WithAttributes(appendErrorType(attrs, r.ErrorType)...))
}

// ended adds to the span of a request why the request failed although it had a connection. If it had none, the acquire
// event says why.
func (t *tracing) ended(ctx context.Context, r peerpool.RequestDone) {
	outcome := r.Outcome()
	if r.Close == "" || outcome != peerpool.OutcomeError && outcome != peerpool.OutcomeTruncated {
		return
	}
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	attrs := []attribute.KeyValue{
		keyRequestOutcome.String(string(outcome)), keyClose.String(string(r.Close)), keyReused.Bool(r.Reused),
	}
	if r.TimeLimit != "" {
		attrs = append(attrs, keyTimeLimit.String(string(r.TimeLimit)))
	}
	span.AddEvent(eventFailure, trace.WithAttributes(appendErrorType(attrs, r.ErrorType)...))
}

// dialed makes the trace of the setup of a connection.
func (t *tracing) dialed(ctx context.Context, d peerpool.DialDone) {
	server := hosts.Parse(d.Identity.Scheme(), d.Host)
	ctx, span := t.tracer.Start(ctx, spanSetup+server.String(), trace.WithNewRoot(), trace.WithTimestamp(d.Start),
		trace.WithAttributes( // a sampler may use these
			semconv.ServerAddress(server.Addr), semconv.ServerPort(server.Port), semconv.URLScheme(d.Identity.Scheme())))
	defer span.End(trace.WithTimestamp(d.Start.Add(d.Total)))
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(keyIdentity.String(d.Identity.String()))
	if d.Conn != 0 {
		span.SetAttributes(keyConn.Int64(int64(d.Conn)), semconv.NetworkProtocolVersion(protocolVersion(d.Protocol)))
	}
	fail(span, d.ErrorType, d.Err)
	t.hops(ctx, span, d, server)
	if sc := span.SpanContext(); d.Conn != 0 && sc.IsSampled() {
		t.setups.put(d.Conn, sc)
	}
}

// hops makes the child spans of a setup, one after the other.
func (t *tracing) hops(ctx context.Context, setup trace.Span, d peerpool.DialDone, server hosts.Name) {
	failed, at := d.Hop, d.Start
	hop := func(op, name string, took time.Duration, attrs ...attribute.KeyValue) {
		_, span := t.tracer.Start(ctx, name, trace.WithTimestamp(at), trace.WithAttributes(attrs...))
		if op == failed {
			fail(span, d.HopErrorType, d.Err)
		}
		at = at.Add(took)
		span.End(trace.WithTimestamp(at))
	}
	if d.Resolve > 0 || failed == "resolve" {
		var errorType peerpool.ErrorType
		if failed == "resolve" {
			errorType = d.HopErrorType
		}
		t.lookup(ctx, server.Addr, at, d.Resolve, errorType, d.Err)
		at = at.Add(d.Resolve)
	}
	if failed == "resolve" {
		return
	}
	peer, text := peerAttributes(d.Identity)
	setup.SetAttributes(peer...)
	if text != "" { // a race that nobody won has no single address
		hop("connect", spanConnect+text, d.Connect, peer...)
	}
	if d.Proxy > 0 || failed == "proxy" {
		hop("proxy", spanProxy+text, d.Proxy)
	}
	if d.Identity.Scheme() == "https" && d.Version != 0 || failed == "tls" {
		name := d.Identity.ServerName()
		if name == "" {
			name = server.Addr
		}
		hop("tls", spanTLS+name, d.TLS, tlsAttributes(name, d)...)
	}
}

func tlsAttributes(name string, d peerpool.DialDone) []attribute.KeyValue {
	attrs := []attribute.KeyValue{semconv.ServerAddress(name)}
	if d.Version == 0 {
		return attrs
	}
	version := strings.TrimPrefix(tls.VersionName(d.Version), "TLS ")
	return append(attrs, semconv.TLSProtocolNameTLS, semconv.TLSProtocolVersion(version), semconv.TLSResumed(d.Resumed))
}
