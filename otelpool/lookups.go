package otelpool

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/peerpool/peerpool"
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// maxAnswers limits the number of hosts whose addresses are remembered.
const maxAnswers = 1024

// answers remembers the addresses that the latest look-up of each host has found. The spans of look-ups are made from
// events that say how long a look-up took, but not what it found.
type answers struct {
	mu    sync.Mutex // guards hosts
	hosts map[string][]string
}

func (a *answers) put(host string, found []netip.Addr) {
	addrs := make([]string, len(found))
	for i, addr := range found {
		addrs[i] = addr.String()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.hosts == nil || len(a.hosts) >= maxAnswers {
		a.hosts = make(map[string][]string)
	}
	a.hosts[host] = addrs
}

func (a *answers) of(host string) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.hosts[host]
}

func (t *tracing) resolved(_ context.Context, r peerpool.ResolveDone) {
	if r.Err == nil {
		t.answers.put(r.Host, r.Addrs)
	}
}

// lookup makes the span of a look-up as a child of the span of ctx. If the look-up has failed, errorType and err say
// why.
func (t *tracing) lookup(ctx context.Context, host string, from time.Time, took time.Duration, errorType peerpool.ErrorType, err error) {
	attrs := []attribute.KeyValue{semconv.DNSQuestionName(host)}
	if found := t.answers.of(host); len(found) > 0 && errorType == "" {
		attrs = append(attrs, semconv.DNSAnswers(found...))
	}
	_, span := t.tracer.Start(ctx, spanLookup+host, trace.WithTimestamp(from), trace.WithAttributes(attrs...))
	fail(span, errorType, err)
	span.End(trace.WithTimestamp(from.Add(took)))
}
