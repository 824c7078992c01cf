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
		RequestStart: func(context.Context, peerpool.RequestStart) {},
		ResolveDone:  func(context.Context, peerpool.ResolveDone) {},
		DialDone:     func(context.Context, peerpool.DialDone) {},
		AcquireDone:  func(context.Context, peerpool.AcquireDone) {},
		AttemptDone:  func(context.Context, peerpool.AttemptDone) {},
		RequestRetry: func(context.Context, peerpool.RequestRetry) {},
		RequestDone:  func(context.Context, peerpool.RequestDone) {},
		ConnClosed:   func(peerpool.ConnClosed) {},
	}
	for _, c := range []struct {
		name string
		o    *peerpool.Observer
	}{{"nil", nil}, {"empty", &peerpool.Observer{}}, {"all", all}, {"two", peerpool.MultiObserver(all, all)}} {
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
