package main

import (
	"net/http"
	"strconv"
	"time"
)

var requestsSuite = suite{
	name:        "requests",
	about:       "small requests on warm connections",
	comparisons: requestComparisons,
	work:        newRequestWorker,
}

// callersSpec is so many callers that all send the same.
type callersSpec struct {
	requestSpec
	Callers int
}

// everyone takes part where nothing is said; warmCallers also in the requests on warm connections.
var (
	everyone    = []candidate{netHTTP, again, ours, fastHTTP, bare}
	warmCallers = []candidate{netHTTP, again, ours, fastHTTP, hertz, bare}
)

func requestComparisons(short bool) []comparison {
	get := requestSpec{Method: http.MethodGet, Path: fewFields}
	secure := get
	secure.TLS = true
	var all []comparison
	for _, callers := range []int{1, 16, 128, 1024} {
		all = append(all, requestComparison("GET, "+plural(callers, "caller"), get, callers, short))
	}
	for _, callers := range []int{1, 16, 128, 1024} {
		all = append(all, requestComparison("GET, TLS 1.3, "+plural(callers, "caller"), secure, callers, short))
	}
	post, large, middle, many, cancelable, client := get, get, get, get, get, get
	post.Method, post.Body = http.MethodPost, 64
	large.Method, large.Body = http.MethodPost, middleSize
	middle.Path = middlePath
	many.Path = manyFields
	cancelable.Cancelable = true
	client.Client = true
	known := client
	known.NewClient = true
	all = append(all,
		requestComparison("POST of 64 B, 16 callers", post, 16, short),
		requestComparison("POST of 16 KiB, 16 callers", large, 16, short),
		requestComparison("GET of 16 KiB, 16 callers", middle, 16, short),
		requestComparison("GET, 12 fields, 16 callers", many, 16, short),
		requestComparison("GET, cancelable, 16 callers", cancelable, 16, short),
		requestComparison("GET, http.Client.Do with Timeout, 16 callers", client, 16, short),
		requestComparison("GET, NewClient with Timeout, 16 callers", known, 16, short),
	)
	for i := range all {
		all[i].targets = requestTargets[all[i].name]
		if all[i].name == "GET, cancelable, 16 callers" { // fasthttp has no contexts, a socket neither
			all[i].candidates = []candidate{netHTTP, again, ours}
		}
	}
	return all
}

var requestTargets = map[string][]target{
	"GET, 16 callers": {
		{"cpu", netHTTP, 0.40}, {"cpu", fastHTTP, 1.08}, {"user", fastHTTP, 1.20}, {"cpu", bare, 1.40}, {"allocs", "", 4}, {"bytes", "", 1024},
	},
	"GET, 128 callers":                             {{"cpu", netHTTP, 0.40}, {"cpu", fastHTTP, 1.08}},
	"GET, TLS 1.3, 16 callers":                     {{"cpu", netHTTP, 0.44}, {"allocs", "", 5}, {"bytes", "", 1024}},
	"POST of 64 B, 16 callers":                     {{"cpu", netHTTP, 0.42}},
	"POST of 16 KiB, 16 callers":                   {{"cpu", netHTTP, 0.48}},
	"GET of 16 KiB, 16 callers":                    {{"cpu", netHTTP, 0.48}},
	"GET, 12 fields, 16 callers":                   {{"cpu", netHTTP, 0.42}},
	"GET, cancelable, 16 callers":                  {{"cpu", netHTTP, 0.46}, {"allocs", "", 6}, {"bytes", "", 1024}},
	"GET, http.Client.Do with Timeout, 16 callers": {{"cpu", netHTTP, 0.65}},
	"GET, NewClient with Timeout, 16 callers":      {{"cpu", netHTTP, 0.55}},
}

func requestComparison(name string, spec requestSpec, callers int, short bool) comparison {
	window := 240 * time.Millisecond
	if short {
		window = 40 * time.Millisecond
	}
	return comparison{
		name: name, candidates: warmCallers, baseline: netHTTP, twin: again,
		metric: "cpu", columns: []string{"cpu", "user", "sys", "rate", "allocs", "bytes"},
		spec: callersSpec{spec, callers}, window: window,
		// Where memory and threads came to lie stays with a process, and must not decide. A thousand handshakes
		// before each measurement would take most of the time.
		fresh: callers < 1000,
		rust:  !spec.Cancelable && !spec.Client,
	}
}

// requestWorker has its callers' connections open before it measures.
type requestWorker struct {
	client  client
	callers crowd
}

func newRequestWorker(j job) (worker, error) {
	spec, err := specOf[callersSpec](j)
	if err != nil {
		return nil, err
	}
	c, err := newClient(j.Candidate, spec.requestSpec, j.Server)
	if err != nil {
		return nil, err
	}
	callers, err := newCrowd(c, spec.Callers)
	if err != nil {
		return nil, err
	}
	return &requestWorker{client: c, callers: callers}, callers.each()
}

func (w *requestWorker) measure(o order) (reading, error) {
	used, n, err := w.callers.run(o.Window)
	if err != nil {
		return reading{}, err
	}
	return reading{Values: used.perRequest(n), Protocol: w.client.protocol()}, nil
}

// plural returns "1 caller", "2 callers", "1,024 callers".
func plural(n int, what string) string {
	digits := strconv.Itoa(n)
	if n >= 1000 {
		digits = digits[:len(digits)-3] + "," + digits[len(digits)-3:]
	}
	if n != 1 {
		what += "s"
	}
	return digits + " " + what
}
