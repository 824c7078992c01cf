package poolz

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"testing"

	"github.com/peerpool/peerpool"
)

func TestThePageSaysHowRequestsHaveFailed(t *testing.T) {
	p := newPage(&crowd{}, nil)
	o := p.Observer()
	counts := func() map[string]uint64 {
		t.Helper()
		var d document
		if err := json.Unmarshal(get(p, "?format=json").Body.Bytes(), &d); err != nil {
			t.Fatal(err)
		}
		return d.Failures
	}
	o.RequestDone(t.Context(), peerpool.RequestDone{Status: 200})
	o.RequestDone(t.Context(), peerpool.RequestDone{Err: context.Canceled})
	if got := counts(); got == nil || len(got) != 0 {
		t.Errorf("in good health, the page counts the failures %v", got)
	}
	for range 2 {
		o.RequestDone(t.Context(), peerpool.RequestDone{Err: errors.New("EOF"), ErrorType: "response_ended", Close: "error"})
	}
	o.RequestDone(t.Context(), peerpool.RequestDone{Status: 200, Close: "error"})
	if got, want := counts(), map[string]uint64{"response_ended": 2, "truncated": 1}; !maps.Equal(got, want) {
		t.Errorf("the page counts the failures %v, want %v", got, want)
	}
	wantIn(t, get(p, "").Body.String(), "Failed requests", "response_ended<small>the server ended the connection before it sent a response</small>", "truncated<small>")
}
