//go:build !race

package cost_test

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
)

// These benchmarks measure what it costs that a request can be canceled. The server is in the same process, so its time
// counts too.
func BenchmarkCancelable(b *testing.B) {
	shared, cancel := context.WithCancel(b.Context())
	defer cancel()
	for _, c := range []struct {
		name    string
		timeout time.Duration // of the client
		context func() (context.Context, context.CancelFunc)
	}{
		{"not", 0, func() (context.Context, context.CancelFunc) { return context.Background(), func() {} }},
		{"one context for all", 0, func() (context.Context, context.CancelFunc) { return shared, func() {} }},
		{"a context each", 0, func() (context.Context, context.CancelFunc) { return context.WithCancel(context.Background()) }},
		{"a deadline each", 0, func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), time.Minute)
		}},
		{"by a Client's Timeout", time.Minute, func() (context.Context, context.CancelFunc) { return context.Background(), func() {} }},
	} {
		b.Run(c.name, func(b *testing.B) {
			tr := &peerpool.Transport{}
			defer tr.CloseIdleConnections()
			send := tr.RoundTrip
			if c.timeout > 0 {
				send = (&http.Client{Transport: tr, Timeout: c.timeout}).Do
			}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) { // each with a server of its own
				req, err := http.NewRequest(http.MethodGet, testkit.Frugal(b, answerOfFour), nil)
				if err != nil {
					b.Error(err)
					return
				}
				for pb.Next() {
					ctx, cancel := c.context()
					resp, err := send(req.WithContext(ctx))
					if err == nil {
						_, err = io.Copy(io.Discard, resp.Body)
						resp.Body.Close()
					}
					cancel()
					if err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
