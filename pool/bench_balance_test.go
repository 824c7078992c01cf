package pool

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
)

// BenchmarkBalance takes and releases connections of a host that has some keys, each with one idle connection, or with a
// shared one that has room. To see what a Balance costs, compare it with one key and no Balance.
func BenchmarkBalance(b *testing.B) {
	names := map[Balance]string{BalanceNone: "none", BalanceRoundRobin: "round robin", BalanceLeastLeases: "least leases"}
	for _, capacity := range []int{0, 100} {
		for _, keys := range []int{1, 3, 100} {
			for _, balance := range []Balance{BalanceNone, BalanceRoundRobin, BalanceLeastLeases} {
				name := fmt.Sprintf("%d keys/%s", keys, names[balance])
				if capacity > 0 {
					name = "shared/" + name
				}
				b.Run(name, func(b *testing.B) {
					h := warmCluster(b, keys, balance, capacity)
					b.ReportAllocs()
					for b.Loop() {
						lease, ok := h.TryAcquire(Terms{})
						if !ok {
							b.Fatal("no connection")
						}
						lease.Release()
					}
				})
			}
		}
	}
}

// inOrder dials the keys of a cluster one after the other.
type inOrder struct {
	*cluster
	dialed atomic.Int64
}

func (d *inOrder) DialHost(ctx context.Context, _ string) (string, Conn, error) {
	return d.cluster.DialHost(ctx, d.keys[int(d.dialed.Add(1)-1)%len(d.keys)])
}

// warmCluster returns the host of a cluster whose keys all have a connection.
func warmCluster(b *testing.B, keys int, balance Balance, capacity int) *Host[string, Conn] {
	c := newCluster(keys, balance, capacity)
	err := c.host.Warm(b.Context(), &inOrder{cluster: c}, keys*max(1, capacity), Terms{Expect: capacity})
	if err != nil {
		b.Fatal(err)
	}
	return c.host
}
