//go:build !race

package observe_test

import (
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
)

// BenchmarkObserver compares a request on a hit without an Observer, with one that has no hooks, and with all hooks.
func BenchmarkObserver(b *testing.B) {
	all := &peerpool.Observer{
		Started:  func(context.Context, peerpool.Started) {},
		Resolved: func(context.Context, peerpool.Resolved) {},
		Dialed:   func(context.Context, peerpool.Dialed) {},
		Acquired: func(context.Context, peerpool.Acquired) {},
		Done:     func(context.Context, peerpool.Done) {},
		Retried:  func(context.Context, peerpool.Retried) {},
		Ended:    func(context.Context, peerpool.Ended) {},
		Closed:   func(peerpool.Closed) {},
	}
	for _, c := range []struct {
		name string
		o    *peerpool.Observer
	}{{"nil", nil}, {"empty", &peerpool.Observer{}}, {"all", all}, {"two", peerpool.Observers(all, all)}} {
		b.Run(c.name, func(b *testing.B) {
			url := testkit.Frugal(b, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			tr := &peerpool.Transport{Observer: c.o}
			b.Cleanup(tr.CloseIdleConnections) // before the server's end, which waits for that
			req, err := http.NewRequest(http.MethodGet, url, nil)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				resp, err := tr.RoundTrip(req)
				if err != nil {
					b.Fatal(err)
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
}
