package pool

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"
)

// burstConn is a connection of the burst: exclusive, or shared by as many as it says.
type burstConn struct{ _ int }

func (*burstConn) Probe() Reason { return "" }
func (*burstConn) Close() error  { return nil }

type sharedBurstConn struct {
	burstConn
	capacity int
}

func (c *sharedBurstConn) Share(func(int)) int { return c.capacity }

// burstDialer holds its dials until all wants have come.
type burstDialer struct {
	capacity int // 0: exclusive connections
	proceed  <-chan struct{}
}

func (d burstDialer) Dial(context.Context) (Conn, error) {
	<-d.proceed
	if d.capacity > 0 {
		return &sharedBurstConn{capacity: d.capacity}, nil
	}
	return new(burstConn), nil
}

// BenchmarkBurst has 10,000 callers ask for a connection at once. Each gives its connection back at once. The benchmark shows
// what the rules for dials save. If one dial did not count for several wants, there would be 10,000 dials for connections that
// 100 share. If wants did not take over the dials of others, there would be 5,000. If the pool did not remember the limits of
// the wants (host.roof), or that all wants expect the same, the benchmark would take four to six times as long.
func BenchmarkBurst(b *testing.B) {
	const wants = 10_000
	for _, c := range []struct {
		name     string
		capacity int
		terms    Terms
	}{
		{"exclusive", 0, Terms{}},
		{"exclusive, MaxConns 10", 0, Terms{MaxConns: 10}},
		{"shared by 100", 100, Terms{Expect: 100}},
		{"shared by 100, unknown", 100, Terms{Expect: ExpectUnknown}},
		{"shared by 100, MaxConns 2", 100, Terms{Expect: 100, MaxConns: 2}},
		{"exclusive although it may be shared", 0, Terms{Expect: ExpectUnknown}},
	} {
		b.Run(c.name, func(b *testing.B) {
			var dials uint64
			for b.Loop() {
				p := New(Config[string, Conn]{})
				var wg sync.WaitGroup
				proceed := make(chan struct{})
				for range wants {
					wg.Go(func() {
						lease, err := p.Acquire(b.Context(), "a", burstDialer{c.capacity, proceed}, c.terms)
						if err != nil {
							b.Error(fmt.Errorf("burst: %w", err))
							return
						}
						lease.Release()
					})
				}
				for p.Stats().Waiting < wants {
					time.Sleep(100 * time.Microsecond)
				}
				close(proceed)
				wg.Wait()
				dials += p.Stats().Dials
				_ = p.Shutdown(b.Context())
			}
			b.ReportMetric(float64(dials)/float64(b.N), "dials/op")
		})
	}
}
