package peerpool

import "testing"

func wantNoneListed(t *testing.T, tr *Transport) {
	t.Helper()
	for i := range tr.core.inflight.shards {
		s := &tr.core.inflight.shards[i]
		s.mu.Lock()
		if s.first != nil || s.last != nil || s.unheard != nil {
			t.Error("a request is still listed")
		}
		s.mu.Unlock()
	}
}
