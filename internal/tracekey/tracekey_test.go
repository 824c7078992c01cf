package tracekey_test

import (
	"net/http/httptrace"
	"testing"

	"github.com/peerpool/peerpool/internal/tracekey"
)

func TestTheKeyIsTheOneThatHttptraceUses(t *testing.T) {
	trace := &httptrace.ClientTrace{}
	ctx := httptrace.WithClientTrace(t.Context(), trace)
	if got := ctx.Value(tracekey.Key); got != trace {
		t.Errorf("the context holds %v under %v, want %p", got, tracekey.Key, trace)
	}
}
