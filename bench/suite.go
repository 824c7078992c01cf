package main

import (
	"encoding/json"
	"time"
)

// candidate is one of the clients that are measured side by side.
type candidate string

const (
	ours     candidate = "peerpool"
	netHTTP  candidate = "net/http"
	again    candidate = "net/http again" // the same a second time: how far apart equals come out
	fastHTTP candidate = "fasthttp"
	hertz    candidate = "hertz"
	bare     candidate = "bare socket" // the same bytes, and nothing else: the physical limit

	// Clients written in Rust, see rust.go.
	pingora    candidate = "pingora"
	pingoraOne candidate = "pingora, 1 thread"
	hyperUtil  candidate = "hyper-util"
	reqwest    candidate = "reqwest"
)

// suite is a group of comparisons that measure the same kind of thing.
type suite struct {
	name, about string
	// unsupported says why the suite cannot run on this system; "": it can.
	unsupported string
	comparisons func(short bool) []comparison
	// work sets one candidate of one comparison up, in a process of its own.
	work func(job) (worker, error)
}

// comparison is one table: some candidates under the same conditions.
type comparison struct {
	name       string
	candidates []candidate
	baseline   candidate // what the ratios are to
	twin       candidate // the baseline a second time: their ratio is the scatter
	metric     string    // what the ratios are of
	columns    []string  // metrics that are shown
	targets    []target
	spec       any           // for the suite's work; goes through JSON
	window     time.Duration // how long one measurement takes, where it is time that bounds it
	rounds     int           // at most; 0: as many as asked for
	fresh      bool          // a new process for every measurement
	rust       bool          // the clients written in Rust can take part
	calibrate  *calibration
}

// calibration makes a load from what a candidate can do at most, measured anew in every round.
type calibration struct {
	candidate candidate
	metric    string
	factor    float64
}

// target is what peerpool is meant to reach.
type target struct {
	metric  string
	against candidate // the ratio to it counts; "": the figure itself
	limit   float64   // at most
}

// job tells a worker process what it will measure.
type job struct {
	Suite     string
	Candidate candidate
	Server    endpoint
	Spec      json.RawMessage // of comparison.spec
}

// order asks for one measurement.
type order struct {
	Window time.Duration
	Rate   float64 // of requests, per second; 0: as many as will go
}

// sample is what a measurement found: a figure for each metric. One that could not be measured is not in it.
type sample map[string]float64

// reading is the answer to an order.
type reading struct {
	Values   sample
	Protocol string // of the responses
}

// worker measures one candidate, over and over, in the process that it was made in.
type worker interface {
	measure(order) (reading, error)
}

var suites = []suite{
	requestsSuite, exchangeSuite, idleSuite, poolSuite, bodiesSuite, connectionsSuite, coldSuite, peersSuite, hostsSuite, latencySuite, http2Suite,
}

func findSuite(name string) (suite, bool) {
	for _, s := range suites {
		if s.name == name {
			return s, true
		}
	}
	return suite{}, false
}
