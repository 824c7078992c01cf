package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

var coldSuite = suite{
	name:        "cold",
	about:       "256 requests at once through a Transport that has no connection yet",
	comparisons: coldComparisons,
	work:        newColdWorker,
}

// coldSpec is how many requests come at once, and how often. With a Delay, each connect takes that much longer, and so does each
// answer, as if the server were that far away.
type coldSpec struct {
	Requests int
	Bursts   int
	Delay    time.Duration // a whole number of milliseconds
}

func coldComparisons(short bool) []comparison {
	requests := 256
	if short {
		requests = 16
	}
	var all []comparison
	for _, s := range []coldSpec{{Bursts: 8}, {Bursts: 8, Delay: time.Millisecond}, {Bursts: 2, Delay: 50 * time.Millisecond}} {
		s.Requests = requests
		name := "256 requests at once"
		if s.Delay > 0 {
			name += ", " + s.Delay.String() + " away"
		}
		all = append(all, comparison{
			name: name, candidates: []candidate{netHTTP, again, ours}, baseline: netHTTP, twin: again,
			metric: "burstcpu", columns: []string{"burstcpu", "burstwall", "burstconns"}, spec: s,
			targets: []target{{"burstcpu", netHTTP, 0.80}, {"burstwall", netHTTP, 1.00}, {"burstconns", netHTTP, 1.00}},
		})
	}
	return all
}

// coldWorker sends bursts, each through a new Transport.
type coldWorker struct {
	spec coldSpec
	who  candidate
	at   endpoint
	url  string
}

func newColdWorker(j job) (worker, error) {
	spec, err := specOf[coldSpec](j)
	if err != nil {
		return nil, err
	}
	w := &coldWorker{spec: spec, who: j.Candidate, at: j.Server, url: "http://" + j.Server.Plain + fewFields}
	if spec.Delay > 0 {
		w.url = "http://" + j.Server.Plain + latePrefix + strconv.FormatInt(spec.Delay.Milliseconds(), 10)
	}
	_, err = w.burst() // so that the code is in memory
	return w, err
}

func (w *coldWorker) measure(order) (reading, error) {
	before, err := accepted(w.at)
	if err != nil {
		return reading{}, err
	}
	start, wall := usageNow(), time.Duration(0)
	for range w.spec.Bursts {
		took, err := w.burst()
		if err != nil {
			return reading{}, err
		}
		wall += took
	}
	used := usageNow().since(start)
	after, err := accepted(w.at)
	if err != nil {
		return reading{}, err
	}
	n := float64(w.spec.Bursts)
	s := sample{
		"burstwall":  wall.Seconds() * 1000 / n,
		"burstconns": float64(after-before-1) / n, // one was ours, to ask
	}
	if used.measured {
		s["burstcpu"] = (used.user + used.sys).Seconds() * 1000 / n
	}
	return reading{Values: s, Protocol: http1}, nil
}

// burst sends the requests and returns how long it took until all were answered.
func (w *coldWorker) burst() (time.Duration, error) {
	o := transportOptions{}
	if w.spec.Delay > 0 {
		o.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			time.Sleep(w.spec.Delay)
			return new(net.Dialer).DialContext(ctx, network, addr)
		}
	}
	rt, err := newTransport(w.who, o)
	if err != nil {
		return 0, err
	}
	begin, errs := make(chan struct{}), make([]error, w.spec.Requests)
	var wg sync.WaitGroup
	for i := range errs {
		req, err := http.NewRequest(http.MethodGet, w.url, nil)
		if err != nil {
			return 0, err
		}
		wg.Go(func() { // ends with its request
			<-begin
			_, errs[i] = roundTrip(rt, req)
		})
	}
	start := time.Now()
	close(begin)
	wg.Wait()
	took := time.Since(start)
	rt.(interface{ CloseIdleConnections() }).CloseIdleConnections()
	return took, errors.Join(errs...)
}

// accepted asks the server how many connections it has accepted, that of the question included.
func accepted(at endpoint) (int64, error) {
	req, err := http.NewRequest(http.MethodGet, "http://"+at.Plain+acceptedPath, nil)
	if err != nil {
		return 0, err
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the server says that it has accepted %q connections", text)
	}
	return n, nil
}
