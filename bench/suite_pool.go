package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	"github.com/peerpool/peerpool/pool"
)

var poolSuite = suite{
	name:        "pool",
	about:       "get and put of an idle connection, without any HTTP; time per pair, of all goroutines together",
	comparisons: poolComparisons,
	work:        newPoolWorker,
}

// floor is what no pool with a lock, a map and a clock can do without.
const (
	floor      candidate = "mutex and map"
	floorAgain candidate = "mutex and map again"
)

// poolSpec is how many goroutines take turns over how many keys.
type poolSpec struct {
	Goroutines, Keys int
}

func poolComparisons(short bool) []comparison {
	window := 80 * time.Millisecond
	if short {
		window = 5 * time.Millisecond
	}
	var all []comparison
	for _, goroutines := range []int{1, 2, 8} {
		for _, keys := range []int{1, 100, 10_000} {
			c := comparison{
				name:       plural(goroutines, "goroutine") + ", " + plural(keys, "key"),
				candidates: []candidate{floor, floorAgain, ours}, baseline: floor, twin: floorAgain,
				metric: "cpuns", columns: []string{"ns", "cpuns", "poolallocs"}, window: window,
				spec: poolSpec{goroutines, keys},
			}
			switch {
			case keys == 1 && goroutines == 1:
				c.targets = []target{{"cpuns", "", 85}, {"poolallocs", "", 0}}
			case keys == 1 && goroutines == 2:
				c.targets = []target{{"ns", "", 140}, {"poolallocs", "", 0}}
			}
			all = append(all, c)
		}
	}
	return all
}

// peerID stands for a peer: about as large as an identity, and compared through a handle as one is.
type peerID struct {
	names   [9]string
	digests [2][32]byte
}

type peerHandle = unique.Handle[peerID]

func handleOf(i int) peerHandle {
	return unique.Make(peerID{names: [9]string{"tcp", "192.0.2.1:" + strconv.Itoa(i)}, digests: [2][32]byte{{1}, {2}}})
}

// noConn is a connection to nowhere.
type noConn struct{ _ int }

func (*noConn) Probe() pool.Reason { return "" }
func (*noConn) Close() error       { return nil }

type noDialer struct{}

func (noDialer) Dial(context.Context) (*noConn, error) { return new(noConn), nil }

var poolTerms = pool.Terms{IdleTimeout: 90 * time.Second, MaxReuse: 1 << 40, MaxLifetime: time.Hour, MaxConns: unlimited}

// poolWorker takes and gives back.
type poolWorker struct {
	spec poolSpec
	keys []peerHandle
	pair func(peerHandle) bool
}

func newPoolWorker(j job) (worker, error) {
	spec, err := specOf[poolSpec](j)
	if err != nil {
		return nil, err
	}
	w := &poolWorker{spec: spec}
	for i := range spec.Keys {
		w.keys = append(w.keys, handleOf(i))
	}
	switch j.Candidate {
	case ours:
		w.pair, err = w.stock()
	case floor, floorAgain:
		w.pair = w.floor()
	default:
		err = fmt.Errorf("%s is not a pool", j.Candidate)
	}
	return w, err
}

// stock fills a pool with an idle connection for each goroutine and key, so that none ever waits.
func (w *poolWorker) stock() (func(peerHandle) bool, error) {
	p := pool.New(pool.Config[peerHandle, *noConn]{})
	for _, key := range w.keys {
		leases := make([]pool.Lease[peerHandle, *noConn], w.spec.Goroutines)
		for i := range leases {
			var err error
			if leases[i], err = p.Acquire(context.Background(), key, noDialer{}, poolTerms); err != nil {
				return nil, err
			}
		}
		for _, lease := range leases {
			lease.Release()
		}
	}
	return func(key peerHandle) bool {
		lease, ok := p.TryAcquire(key, poolTerms)
		if ok {
			lease.Release()
		}
		return ok
	}, nil
}

// floor looks a key up under a lock, then locks again as one who brings a connection back, and reads the clock
// both times, as idle time must be known.
func (w *poolWorker) floor() func(peerHandle) bool {
	var mu sync.Mutex // guards groups, and the clocks
	epoch, groups := time.Now(), map[peerHandle]*time.Duration{}
	for _, key := range w.keys {
		groups[key] = new(time.Duration)
	}
	return func(key peerHandle) bool {
		taken := time.Since(epoch)
		mu.Lock()
		group := groups[key]
		*group = taken
		mu.Unlock()
		given := time.Since(epoch)
		mu.Lock()
		*group = given
		mu.Unlock()
		return true
	}
}

var errNoIdle = errors.New("the pool has no idle connection")

func (w *poolWorker) measure(o order) (reading, error) {
	var stop, failed atomic.Bool
	var wg sync.WaitGroup
	counts := make([]int64, w.spec.Goroutines)
	runtime.GC()
	before := usageNow()
	for g := range counts {
		wg.Go(func() { // ends with stop
			n := int64(0)
			for i := g * len(w.keys) / len(counts); !stop.Load(); n++ {
				if !w.pair(w.keys[i]) {
					failed.Store(true)
					break
				}
				if i++; i == len(w.keys) {
					i = 0
				}
			}
			counts[g] = n
		})
	}
	time.Sleep(o.Window)
	stop.Store(true)
	wg.Wait()
	used := usageNow().since(before)
	if failed.Load() {
		return reading{}, errNoIdle
	}
	var n int64
	for _, count := range counts {
		n += count
	}
	s := sample{"ns": float64(used.wall.Nanoseconds()) / float64(n), "poolallocs": used.mallocs / float64(n)}
	if used.measured {
		s["cpuns"] = float64((used.user + used.sys).Nanoseconds()) / float64(n)
	}
	return reading{Values: s}, nil
}
