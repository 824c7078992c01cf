package prompool

import (
	"github.com/peerpool/peerpool"
	"github.com/prometheus/client_golang/prometheus"
)

// waits counts the waits for a connection by how they ended.
type waits struct{ dialed, released, failed, canceled prometheus.Counter }

// results counts successes, cancellations, and failures by the type of the error.
type results struct {
	succeeded, canceled prometheus.Counter
	failed              map[peerpool.ErrorType]prometheus.Counter
}

func (r results) count(err error, kind peerpool.ErrorType) {
	switch failure := r.failed[kind]; {
	case err == nil:
		r.succeeded.Inc()
	case failure != nil:
		failure.Inc()
	default:
		r.canceled.Inc()
	}
}

// failedHop is the hop at which a dial failed, and the type of the error.
type failedHop struct {
	hop  string
	kind peerpool.ErrorType
}

// otherHop stands for all hops and types that are not among failedHops.
var otherHop = failedHop{"other", "_OTHER"}

// failedHops returns all hops with their error types.
func failedHops() (all []failedHop) {
	add := func(hop string, kinds ...peerpool.ErrorType) {
		for _, kind := range kinds {
			all = append(all, failedHop{hop, kind})
		}
	}
	add("resolve", peerpool.ResolveErrorTypes()...)
	add("connect", peerpool.ConnectErrorTypes()...)
	add("proxy", "proxy_tunnel_error", "timeout")
	add("tls", "secure_connection_error", "timeout")
	add("http2", "connection_error", "timeout")
	add(otherHop.hop, otherHop.kind)
	return all
}

// newResults creates all series of a counter by outcome and error_type, so that they exist from the start.
func newResults(vec *prometheus.CounterVec, host func(...string) []string, kinds []peerpool.ErrorType) results {
	r := results{
		succeeded: vec.WithLabelValues(host("success", "")...), canceled: vec.WithLabelValues(host("canceled", "")...),
		failed: make(map[peerpool.ErrorType]prometheus.Counter),
	}
	for _, kind := range kinds {
		r.failed[kind] = vec.WithLabelValues(host("error", string(kind))...)
	}
	return r
}
