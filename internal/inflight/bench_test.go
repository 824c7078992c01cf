package inflight

import (
	"net/http"
	"testing"
)

// BenchmarkInflight is what listing an attempt costs: it comes, runs, and goes.
func BenchmarkInflight(b *testing.B) {
	var l List
	b.RunParallel(func(pb *testing.PB) {
		req, err := http.NewRequest(http.MethodGet, "http://example.test", nil)
		if err != nil {
			b.Error(err)
			return
		}
		var e Entry
		for pb.Next() {
			l.Enlist(&e, req, nil)
			e.Run(nil)
			l.Remove(&e)
		}
	})
}
