package peerpool

import (
	"context"
	"net/http"
	"testing"
)

// BenchmarkInflight is what listing an attempt costs: that it comes, runs, has ended, and goes.
func BenchmarkInflight(b *testing.B) {
	tr := &Transport{}
	tr.runtime()
	b.RunParallel(func(pb *testing.PB) {
		req, err := http.NewRequest(http.MethodGet, "http://example.test", nil)
		if err != nil {
			b.Error(err)
			return
		}
		a := &attempt{t: tr, orig: req, req: req, ctx: context.Background()}
		for pb.Next() {
			a.enlist(nil)
			a.running(nil)
			a.ends.Add(2)
			tr.core.inflight.remove(a)
		}
	})
}
