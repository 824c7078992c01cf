package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/valyala/fasthttp"
)

var idleSuite = suite{
	name:        "idle",
	about:       "what an idle connection costs the client's process; the kernel's part is not in it",
	unsupported: tooFewFiles(openFiles()),
	comparisons: idleComparisons,
	work:        func(j job) (worker, error) { return idleWorker{j}, nil },
}

// neededFiles is a connection to each of 10,000 peers, and some to spare.
const neededFiles = 10_100

// tooFewFiles says why 10,000 connections cannot be opened; "": they can.
func tooFewFiles(limit uint64) string {
	if limit >= neededFiles {
		return ""
	}
	return fmt.Sprintf("it takes %d open files, and the limit is %d (ulimit -Hn)", neededFiles, limit)
}

// idleSpec is so many idle connections to one peer, or to as many.
type idleSpec struct {
	TLS   bool
	Peers bool // each to a peer of its own
	Conns int
}

func idleComparisons(short bool) []comparison {
	plain, secure, peers := idleSpec{Conns: 10_000}, idleSpec{TLS: true, Conns: 5_000}, idleSpec{Peers: true, Conns: 10_000}
	if short {
		plain.Conns, secure.Conns, peers.Conns = 500, 100, 500
	}
	c := comparison{
		candidates: everyone, baseline: netHTTP, twin: again, fresh: true,
		metric: "rss", columns: []string{"rss", "heap", "goroutines"},
	}
	p, s, m := c, c, c
	p.name, p.spec = plural(plain.Conns, "connection"), plain
	p.rounds = 3 // these figures hardly move, and thousands of connections take their time
	p.targets = []target{{"rss", "", 1500}, {"goroutines", "", 0}}
	s.name, s.spec = plural(secure.Conns, "connection")+", TLS 1.3", secure
	s.targets = []target{{"rss", "", 10_000}, {"goroutines", "", 0}}
	s.rounds = 2
	s.candidates = []candidate{netHTTP, ours, fastHTTP, bare}
	m.name, m.spec = "a connection to each of "+plural(peers.Conns, "peer"), peers
	m.targets = []target{{"rss", "", 2500}, {"goroutines", "", 0}}
	m.rounds = 2
	m.candidates = []candidate{netHTTP, ours}
	return []comparison{p, s, m}
}

// idleWorker measures once in its process: memory that was freed before would hide what the next round takes.
type idleWorker struct{ job }

func (w idleWorker) measure(order) (reading, error) {
	spec, err := specOf[idleSpec](w.job)
	if err != nil {
		return reading{}, err
	}
	open, err := newOpener(w.Candidate, requestSpec{Method: http.MethodGet, Path: fewFields, TLS: spec.TLS}, w.Server, spec.Peers)
	if err != nil {
		return reading{}, err
	}
	first, err := open()
	if err != nil {
		return reading{}, err
	}
	if err := first(); err != nil {
		return reading{}, err
	}
	releases := make([]func() error, spec.Conns)
	before := memoryNow()
	if err := openAll(open, releases); err != nil {
		return reading{}, err
	}
	for i, release := range releases {
		if err := release(); err != nil {
			return reading{}, err
		}
		releases[i] = nil
	}
	after := memoryNow()
	runtime.KeepAlive(open) // a client that nobody will use again may go, and its connections with it
	return reading{Values: idleCost(before, after, spec.Conns), Protocol: http1}, nil
}

func idleCost(before, after memory, conns int) sample {
	// The first connection idles before the others come, and is used by one of them, unless that has another peer.
	n := float64(conns - 1)
	s := sample{
		"heap":       float64(after.heap-before.heap) / n,
		"goroutines": float64(after.goroutines-before.goroutines) / n,
	}
	if after.resident > 0 {
		s["rss"] = float64(after.resident-before.resident) / n
	}
	return s
}

// opener opens a connection with one exchange on it and returns what leaves it idle.
type opener func() (release func() error, err error)

// openAll fills releases, some at a time.
func openAll(open opener, releases []func() error) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for o := range errs {
		wg.Go(func() { // ends with the last connection
			for i := next.Add(1) - 1; i < int64(len(releases)) && errs[o] == nil; i = next.Add(1) - 1 {
				releases[i], errs[o] = open()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func newOpener(who candidate, spec requestSpec, at endpoint, peers bool) (opener, error) {
	config, err := at.clientTLS()
	if err != nil {
		return nil, err
	}
	switch who {
	case bare:
		c := &bareClient{spec: spec, at: at, tls: config}
		return c.open, nil
	case fastHTTP:
		c := newFastHTTP(config)
		c.StreamResponseBody = true // the connection is the response's until that is closed
		return func() (func() error, error) { return openFast(c, spec.url(at)) }, nil
	}
	rt, err := newTransport(who, transportOptions{tls: config})
	if err != nil {
		return nil, err
	}
	if peers {
		return peerOpener(newHTTPClient(rt, spec, at), rt), nil
	}
	req, err := spec.newRequest(at)
	if err != nil {
		return nil, err
	}
	return func() (func() error, error) { return openHTTP(rt, req) }, nil
}

// peerOpener opens each connection to another peer.
func peerOpener(c *httpClient, rt http.RoundTripper) opener {
	var opened atomic.Int64
	return func() (func() error, error) {
		req, err := c.peerRequest(int(opened.Add(1)))
		if err != nil {
			return nil, err
		}
		return openHTTP(rt, req)
	}
}

// openHTTP leaves the response unread, so that the next one takes another connection.
func openHTTP(rt http.RoundTripper, req *http.Request) (func() error, error) {
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	return func() error {
		_, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		return err
	}, nil
}

func openFast(c *fasthttp.Client, url string) (func() error, error) {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	req.SetRequestURI(url)
	if err := c.Do(req, resp); err != nil {
		return nil, err
	}
	if resp.StatusCode() != http.StatusOK {
		return nil, fmt.Errorf("status %d", resp.StatusCode())
	}
	return func() error {
		err := resp.BodyWriteTo(io.Discard)
		fasthttp.ReleaseRequest(req)
		fasthttp.ReleaseResponse(resp)
		return err
	}, nil
}

// open dials, and exchanges the same bytes once.
func (c *bareClient) open() (func() error, error) {
	request, err := c.requestBytes()
	if err != nil {
		return nil, err
	}
	nc, err := c.dial()
	if err != nil {
		return nil, err
	}
	if _, err := nc.Write(request); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(nc, make([]byte, len(answers[c.spec.Path]))); err != nil {
		return nil, err
	}
	return func() error {
		keep(nc)
		return nil
	}, nil
}

// kept keeps the bare sockets reachable, which would be closed otherwise. mu guards it.
var kept struct {
	mu    sync.Mutex
	conns []net.Conn
}

func keep(nc net.Conn) {
	kept.mu.Lock()
	defer kept.mu.Unlock()
	kept.conns = append(kept.conns, nc)
}
