package main

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// caller is one goroutine's calls. The count has a cache line to itself.
type caller struct {
	call call
	done atomic.Int64
	_    [64]byte
}

// crowd is all callers of a worker.
type crowd []*caller

// newCrowd sets n callers up. Their connections open with their first call.
func newCrowd(c client, n int) (crowd, error) {
	callers := make(crowd, n)
	for i := range callers {
		call, err := c.newCall()
		if err != nil {
			return nil, err
		}
		callers[i] = &caller{call: call}
	}
	return callers, nil
}

func (cs crowd) total() int64 {
	var n int64
	for _, c := range cs {
		n += c.done.Load()
	}
	return n
}

// maxWindows bounds how long a measurement waits for calls to end, in windows.
const maxWindows = 50

// busy waits for a window, and longer until there are as many calls after the first from as there are callers.
func (cs crowd) busy(from int64, window time.Duration) {
	for range maxWindows {
		time.Sleep(window)
		if cs.total()-from >= int64(len(cs)) {
			return
		}
	}
}

// run lets all callers call as fast as they can, and returns what that cost in a window and how many calls ended
// in it. Before it there is another of a quarter its length, in which everything gets warm.
func (cs crowd) run(window time.Duration) (cost, int64, error) {
	var stop atomic.Bool
	var wg sync.WaitGroup
	var mu sync.Mutex // guards failed; nothing else happens under it
	var failed error
	for _, c := range cs {
		wg.Go(func() { // ends with stop, or its first failure
			for !stop.Load() {
				if err := c.call(); err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
					return
				}
				c.done.Add(1)
			}
		})
	}
	cs.busy(0, window/4)
	from, before := cs.total(), usageNow()
	cs.busy(from, window)
	after, n := usageNow(), cs.total()-from
	stop.Store(true)
	wg.Wait()
	if failed != nil {
		return cost{}, 0, failed
	}
	if n == 0 {
		return cost{}, 0, errors.New("no call has ended within the time of a measurement")
	}
	return after.since(before), n, nil
}

// inTurns lets three crowds run in turns within a window, as what counts is how they compare. It returns the CPU time of a
// call of each, in microseconds.
func inTurns(crowds [3]crowd, window time.Duration) (cost [3]float64, err error) {
	const turns = 3
	var used, count [3]float64
	for range turns {
		for i, crowd := range crowds {
			c, n, err := crowd.run(window / turns)
			if err != nil {
				return cost, err
			}
			used[i] += micros(c.user + c.sys)
			count[i] += float64(n)
		}
	}
	for i := range cost {
		cost[i] = used[i] / count[i]
	}
	return cost, nil
}

// each lets all callers call once, some at a time, so that their connections are open.
func (cs crowd) each() error {
	const openers = 16
	next := make(chan *caller)
	errs := make(chan error, openers)
	for range openers {
		go func() { // ends with the last caller
			var first error
			for c := range next {
				if err := c.call(); err != nil && first == nil {
					first = err
				}
			}
			errs <- first
		}()
	}
	for _, c := range cs {
		next <- c
	}
	close(next)
	var all []error
	for range openers {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}
