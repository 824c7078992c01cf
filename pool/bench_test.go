package pool

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"
)

// plainConn is the cheapest connection there can be, so that benchmarks show the pool alone.
type plainConn struct{ _ int }

func (*plainConn) Probe() Reason { return "" }
func (*plainConn) Close() error  { return nil }

type plainDialer struct{}

func (plainDialer) Dial(context.Context) (*plainConn, error) { return new(plainConn), nil }

// peerKey is about the size of a real identity.
type peerKey struct {
	network, address, scheme, serverName, certificate string
	flags                                             int
}

func benchKey(i int) peerKey {
	return peerKey{"tcp", "192.0.2.1:" + strconv.Itoa(i), "https", "www.example.org", "", i}
}

var benchTerms = Terms{IdleTimeout: 90 * time.Second, MaxReuse: 1 << 30, MaxLifetime: time.Hour, MaxConns: 1 << 20}

func stocked(b testing.TB, keys, each int) *Pool[peerKey, *plainConn] {
	p := New(Config[peerKey, *plainConn]{})
	for i := range keys {
		var leases []Lease[peerKey, *plainConn]
		for range each {
			lease, err := p.Acquire(context.Background(), benchKey(i), plainDialer{}, benchTerms)
			if err != nil {
				b.Fatal(err)
			}
			leases = append(leases, lease)
		}
		for _, lease := range leases {
			lease.Release()
		}
	}
	b.Cleanup(p.CloseIdle)
	return p
}

// handle is a key as small as a unique.Handle.
type handle struct{ id *byte }

// BenchmarkFloor measures the least that a pool with a lock, a map and a clock costs. Compare it with
// BenchmarkTryAcquireReleaseOneHandle in the same run.
func BenchmarkFloor(b *testing.B) {
	var mu sync.Mutex
	epoch, key := time.Now(), handle{new(byte)}
	groups := map[handle]*plainConn{key: new(plainConn)}
	var sum time.Duration
	for b.Loop() {
		sum += time.Since(epoch)
		mu.Lock()
		if groups[key] == nil {
			b.Fatal("no group")
		}
		mu.Unlock()
		sum += time.Since(epoch)
		mu.Lock()
		sum++
		mu.Unlock()
	}
	if sum == 0 {
		b.Fatal("no time has passed")
	}
}

func BenchmarkTryAcquireReleaseOneHandle(b *testing.B) {
	p, key := New(Config[handle, *plainConn]{}), handle{new(byte)}
	lease, err := p.Acquire(b.Context(), key, plainDialer{}, benchTerms)
	if err != nil {
		b.Fatal(err)
	}
	lease.Release()
	b.Cleanup(p.CloseIdle)
	b.ReportAllocs()
	for b.Loop() {
		lease, ok := p.TryAcquire(key, benchTerms)
		if !ok {
			b.Fatal("no idle connection")
		}
		lease.Release()
	}
}

func BenchmarkTryAcquireReleaseOneKey(b *testing.B) {
	p, key := stocked(b, 1, 1), benchKey(0)
	b.ReportAllocs()
	for b.Loop() {
		lease, ok := p.TryAcquire(key, benchTerms)
		if !ok {
			b.Fatal("no idle connection")
		}
		lease.Release()
	}
}

func BenchmarkAcquireReleaseOneKey(b *testing.B) {
	p, key, ctx := stocked(b, 1, 1), benchKey(0), b.Context()
	b.ReportAllocs()
	for b.Loop() {
		lease, err := p.Acquire(ctx, key, plainDialer{}, benchTerms)
		if err != nil {
			b.Fatal(err)
		}
		lease.Release()
	}
}

func BenchmarkTryAcquireReleaseHundredKeys(b *testing.B) {
	p := stocked(b, 100, 1)
	var keys [100]peerKey
	for i := range keys {
		keys[i] = benchKey(i)
	}
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		lease, ok := p.TryAcquire(keys[i%len(keys)], benchTerms)
		if !ok {
			b.Fatal("no idle connection")
		}
		lease.Release()
		i++
	}
}

func BenchmarkTryAcquireReleaseParallel(b *testing.B) {
	p, key := stocked(b, 1, 64), benchKey(0)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			lease, ok := p.TryAcquire(key, benchTerms)
			if !ok {
				b.Error("no idle connection")
				return
			}
			lease.Release()
		}
	})
}

// plainShared is the cheapest connection that serves many leases at once.
type plainShared struct{ plainConn }

func (*plainShared) Share(func(int)) int { return 250 }

type plainSharedDialer struct{}

func (plainSharedDialer) Dial(context.Context) (*plainShared, error) { return new(plainShared), nil }

// stockedShared is a pool with one shared connection and as many leases of it as given, which go on.
func stockedShared(b testing.TB, others int) (*Pool[handle, *plainShared], handle) {
	p, key := New(Config[handle, *plainShared]{}), handle{new(byte)}
	lease, err := p.Acquire(context.Background(), key, plainSharedDialer{}, benchTerms)
	if err != nil {
		b.Fatal(err)
	}
	for range others {
		if _, ok := p.TryAcquire(key, benchTerms); !ok {
			b.Fatal("no room")
		}
	}
	lease.Release()
	b.Cleanup(p.CloseIdle)
	return p, key
}

// BenchmarkTryAcquireReleaseShared has one or two goroutines use one connection. Others use the connection too, or it is
// idle in between.
func BenchmarkTryAcquireReleaseShared(b *testing.B) {
	for _, test := range []struct{ users, others int }{{1, 0}, {1, 20}, {2, 20}} {
		b.Run(fmt.Sprintf("users=%d/others=%d", test.users, test.others), func(b *testing.B) {
			p, key := stockedShared(b, test.others)
			b.ReportAllocs()
			b.ResetTimer()
			var users sync.WaitGroup
			for range test.users {
				users.Go(func() {
					for range b.N / test.users {
						lease, ok := p.TryAcquire(key, benchTerms)
						if !ok {
							b.Error("no room")
							return
						}
						lease.Release()
					}
				})
			}
			users.Wait()
		})
	}
}

func BenchmarkDialAndDiscard(b *testing.B) {
	p, key, ctx := New(Config[peerKey, *plainConn]{}), benchKey(0), b.Context()
	b.ReportAllocs()
	for b.Loop() {
		lease, err := p.Acquire(ctx, key, plainDialer{}, benchTerms)
		if err != nil {
			b.Fatal(err)
		}
		lease.Discard("done")
	}
}

func TestAHitDoesNotAllocate(t *testing.T) {
	p, key, ctx := stocked(t, 2, 2), benchKey(0), t.Context()
	for name, use := range map[string]func(){
		"TryAcquire": func() {
			lease, ok := p.TryAcquire(key, benchTerms)
			if !ok {
				t.Fatal("no idle connection")
			}
			lease.Release()
		},
		"Acquire": func() {
			lease, err := p.Acquire(ctx, key, plainDialer{}, benchTerms)
			if err != nil {
				t.Fatal(err)
			}
			lease.Release()
		},
		"TryAcquire in vain": func() {
			if _, ok := p.TryAcquire(peerKey{}, benchTerms); ok {
				t.Fatal("an idle connection of a key that is unknown")
			}
		},
	} {
		if n := testing.AllocsPerRun(100, use); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

func TestALeaseOfASharedConnectionDoesNotAllocate(t *testing.T) {
	for _, others := range []int{0, 100} { // idle in between, and not
		p, key := stockedShared(t, others)
		if n := testing.AllocsPerRun(10_000, func() {
			lease, ok := p.TryAcquire(key, benchTerms)
			if !ok {
				t.Fatal("no room")
			}
			lease.Release()
		}); n != 0 { // on average: a map of leases is now and then made anew
			t.Errorf("beside %d others it allocates %v times", others, n)
		}
	}
}
