package main

import (
	"fmt"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

var peersSuite = suite{
	name:        "peers",
	about:       "from 1 peer to 100,000, each an address of its own",
	unsupported: peersUnsupported(),
	comparisons: peerComparisons,
	work:        newPeerWorker,
}

// peersUnsupported: other systems have no 127.0.0.0/8 to be 100,000 peers with.
func peersUnsupported() string {
	if runtime.GOOS != "linux" {
		return "it takes Linux, where all of 127.0.0.0/8 is loopback"
	}
	return tooFewFiles(openFiles())
}

// peersSpec is how many peers there are, and how many idle connections may be kept.
type peersSpec struct {
	Peers     int
	MaxIdle   int  // 0: no limit
	Forgotten bool // visit each peer once, then let them all go
}

// peerCallers send the requests of this suite.
const peerCallers = 16

func peerComparisons(short bool) []comparison {
	warm, visited := peersSpec{Peers: 10_000}, peersSpec{Peers: 100_000, MaxIdle: 100, Forgotten: true}
	window := 300 * time.Millisecond
	if short {
		warm.Peers, visited.Peers, window = 500, 1000, 20*time.Millisecond
	}
	return []comparison{
		{
			name: "an idle connection to each of 10,000 peers, 16 callers", candidates: []candidate{netHTTP, again, ours},
			baseline: netHTTP, twin: again, metric: "added", columns: []string{"one", "hundred", "many", "added"},
			spec: warm, window: window, targets: []target{{"added", netHTTP, 0.75}},
		},
		{
			name: "100,000 peers visited once, at most 100 connections kept", candidates: []candidate{netHTTP, ours},
			baseline: netHTTP, metric: "conncpu", columns: []string{"conncpu", "peakheap", "left"},
			spec: visited, fresh: true, rounds: 1, // as long as all rounds of another, for memory that does not vary
			targets: []target{{"left", "", 2}}, // the capacity of a few tables, and not the peers
		},
	}
}

// peerURL is one of 127.1.0.0 to 127.254.255.255.
func peerURL(at endpoint, i int) (string, error) {
	_, port, err := net.SplitHostPort(at.Any)
	return fmt.Sprintf("http://127.%d.%d.%d:%s%s", 1+i>>16, i>>8&255, i&255, port, fewFields), err
}

func newPeerWorker(j job) (worker, error) {
	spec, err := specOf[peersSpec](j)
	if err != nil {
		return nil, err
	}
	rt, err := newTransport(j.Candidate, transportOptions{idleTotal: spec.MaxIdle})
	if err != nil {
		return nil, err
	}
	c := newHTTPClient(rt, requestSpec{Method: http.MethodGet, Path: fewFields}, j.Server)
	if spec.Forgotten {
		return &forgetWorker{spec: spec, client: c, transport: rt}, nil
	}
	w := &peersWorker{}
	for i, peers := range []int{1, 100, spec.Peers} {
		if w.crowds[i], err = peerCrowd(c, min(peers, spec.Peers)); err != nil {
			return nil, err
		}
	}
	return w, visitAll(c, 0, spec.Peers)
}

// peerCrowd is callers that walk through the peers, each through its own share of them where there are enough.
func peerCrowd(c *httpClient, peers int) (crowd, error) {
	requests := make([]*http.Request, peers)
	for i := range requests {
		var err error
		if requests[i], err = c.peerRequest(i); err != nil {
			return nil, err
		}
	}
	callers := make(crowd, peerCallers)
	for i := range callers {
		next, buf := i%peers, make([]byte, 4<<10)
		callers[i] = &caller{call: func() error {
			_, err := c.exchange(requests[next], buf)
			if next += peerCallers; next >= peers {
				next = i % peers
			}
			return err
		}}
	}
	return callers, nil
}

// peerRequest is the usual request, to the i-th peer.
func (c *httpClient) peerRequest(i int) (*http.Request, error) {
	url, err := peerURL(c.at, i)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	for _, field := range requestFields {
		req.Header.Set(field[0], field[1])
	}
	return req, nil
}

// visitAll sends one request to each peer from first to before the end.
func visitAll(c *httpClient, first, end int) error {
	var next atomic.Int64
	next.Store(int64(first))
	var wg sync.WaitGroup
	errs := make([]error, peerCallers)
	for v := range errs {
		wg.Go(func() { // ends with the last peer
			buf := make([]byte, 4<<10)
			for i := next.Add(1) - 1; i < int64(end) && errs[v] == nil; i = next.Add(1) - 1 {
				var req *http.Request
				if req, errs[v] = c.peerRequest(int(i)); errs[v] == nil {
					_, errs[v] = c.exchange(req, buf)
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// peersWorker has a connection to each peer, and compares what a request costs with one, some and all of them.
type peersWorker struct{ crowds [3]crowd }

// measure lets the crowds take turns too, as what counts is the difference between them.
func (w *peersWorker) measure(o order) (reading, error) {
	cost, err := inTurns(w.crowds, o.Window)
	if err != nil {
		return reading{}, err
	}
	s := sample{}
	if _, _, measured := processTimes(); measured {
		s["one"], s["hundred"], s["many"] = cost[0], cost[1], cost[2]
		s["added"] = s["many"] - s["one"]
	}
	return reading{Values: s, Protocol: http1}, nil
}

// forgetWorker finds out what is left of peers that are gone.
type forgetWorker struct {
	spec      peersSpec
	client    *httpClient
	transport http.RoundTripper
}

func (w *forgetWorker) measure(order) (reading, error) {
	// The first half comes and goes, and leaves what is made once for a crowd; what the second half adds to that
	// is what peers leave behind.
	half := w.spec.Peers / 2
	if err := visitAll(w.client, 0, half); err != nil {
		return reading{}, err
	}
	w.closeIdle()
	clean := settledHeap()
	before := usageNow()
	if err := visitAll(w.client, half, w.spec.Peers); err != nil {
		return reading{}, err
	}
	each := usageNow().since(before).perRequest(int64(w.spec.Peers - half))
	s := sample{"peakheap": float64(memoryNow().heap - clean)}
	if cpu, ok := each["cpu"]; ok {
		s["conncpu"] = cpu
	}
	w.closeIdle()
	s["left"] = float64(settledHeap()-clean) / float64(w.spec.Peers-half)
	runtime.KeepAlive(w.transport)
	return reading{Values: s, Protocol: http1}, nil
}

func (w *forgetWorker) closeIdle() {
	if t, ok := w.transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// settledHeap returns the fewest bytes on the heap within a moment: goroutines of closed connections take a while to
// end, and what is kept by weak pointers takes some collections to go.
func settledHeap() int64 {
	least := memoryNow().heap
	for range 10 {
		time.Sleep(20 * time.Millisecond)
		least = min(least, memoryNow().heap)
	}
	return least
}
