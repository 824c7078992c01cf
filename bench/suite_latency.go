package main

import (
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"time"
)

var latencySuite = suite{
	name:        "latency",
	about:       "GETs at a fixed rate: half of what net/http can do at most, found anew in each round",
	comparisons: latencyComparisons,
	work:        newLatencyWorker,
}

// latencyCallers are more than are ever busy at the rate that is asked for.
const latencyCallers = 128

func latencyComparisons(short bool) []comparison {
	window := time.Second
	if short {
		window = 60 * time.Millisecond
	}
	all := []comparison{
		{
			name: "GET at half of net/http's rate", candidates: everyone,
			spec:    requestSpec{Method: http.MethodGet, Path: fewFields},
			targets: []target{{"p99", netHTTP, 0.80}},
		},
		{
			name: "HTTP/2, GET at half of net/http's rate", candidates: []candidate{netHTTP, again, ours},
			spec: requestSpec{Method: http.MethodGet, Path: "/", TLS: true, HTTP2: true},
		},
	}
	for i := range all {
		all[i].baseline, all[i].twin, all[i].window = netHTTP, again, window
		all[i].metric, all[i].columns = "p99", []string{"load", "p50", "p99", "p999", "cpu"}
		all[i].calibrate = &calibration{candidate: netHTTP, metric: "rate", factor: 0.5}
	}
	return all
}

// latencyWorker sends at the rate that it is told, or as fast as it can.
type latencyWorker struct {
	client  client
	callers crowd
}

func newLatencyWorker(j job) (worker, error) {
	spec, err := specOf[requestSpec](j)
	if err != nil {
		return nil, err
	}
	c, err := newClient(j.Candidate, spec, j.Server)
	if err != nil {
		return nil, err
	}
	callers, err := newCrowd(c, latencyCallers)
	if err != nil {
		return nil, err
	}
	runtime.GOMAXPROCS(runtime.NumCPU() + 1) // one for the pacer, which sleeps
	return &latencyWorker{client: c, callers: callers}, callers.each()
}

func (w *latencyWorker) measure(o order) (reading, error) {
	if o.Rate <= 0 {
		used, n, err := w.callers.run(o.Window / 4)
		if err != nil {
			return reading{}, err
		}
		return reading{Values: used.perRequest(n)}, nil
	}
	before := usageNow()
	took, err := w.paced(o.Rate, o.Window)
	if err != nil {
		return reading{}, err
	}
	each := usageNow().since(before).perRequest(int64(len(took)))
	s := sample{
		"load": o.Rate, "p50": typical(took, 0.5), "p99": typical(took, 0.99), "p999": overall(took, 0.999),
	}
	if cpu, ok := each["cpu"]; ok {
		s["cpu"] = cpu
	}
	return reading{Values: s, Protocol: w.client.protocol()}, nil
}

// wait is how long a request took that was due at a moment.
type wait struct {
	due  time.Time
	took time.Duration
}

// slicesOfWindow is how many parts a window is cut into for typical.
const slicesOfWindow = 10

// typical returns the median of what the quantile is in each part of the window, in microseconds: a moment in
// which the machine was busy with something else decides about a part, and not about the whole.
func typical(waits []wait, q float64) float64 {
	inOrder := slices.SortedFunc(slices.Values(waits), func(a, b wait) int { return a.due.Compare(b.due) })
	size := max(len(inOrder)/slicesOfWindow, 1)
	var parts []float64
	for len(inOrder) >= size {
		parts = append(parts, overall(inOrder[:size], q))
		inOrder = inOrder[size:]
	}
	return spanOf(parts).Median
}

// overall returns a quantile of all, in microseconds.
func overall(waits []wait, q float64) float64 {
	took := make([]time.Duration, len(waits))
	for i, w := range waits {
		took[i] = w.took
	}
	slices.Sort(took)
	return micros(quantile(took, q))
}

// paced sends rate requests a second for a window. It begins each on time, even if those before have not ended, and returns
// how long each took from the moment at which it was due. So a slow answer counts for all requests that had to wait behind it.
func (w *latencyWorker) paced(rate float64, window time.Duration) ([]wait, error) {
	total := int(rate * window.Seconds())
	if total == 0 {
		return nil, fmt.Errorf("%.1f requests per second are none in %v", rate, window)
	}
	due := make(chan time.Time, total) // the pacer never waits
	took, errs := make([][]wait, len(w.callers)), make([]error, len(w.callers))
	var wg sync.WaitGroup
	for i, c := range w.callers {
		wg.Go(func() { // ends when all is sent
			for at := range due {
				if errs[i] = c.call(); errs[i] != nil {
					return
				}
				took[i] = append(took[i], wait{at, time.Since(at)})
			}
		})
	}
	wg.Go(func() {
		pace(due, total, time.Duration(float64(time.Second)/rate))
	})
	wg.Wait()
	return slices.Concat(took...), errors.Join(errs...)
}

// pace sends the moments at which requests are due, as they come, and closes due after the last.
func pace(due chan<- time.Time, total int, interval time.Duration) {
	defer close(due)
	sleep := newSleeper()
	start := time.Now()
	for i := range total {
		at := start.Add(time.Duration(i) * interval)
		for wait := time.Until(at); wait > 0; wait = time.Until(at) {
			sleep(wait)
		}
		due <- at
	}
}
