package main

import (
	"net/http"
	"strconv"
	"time"
)

var http2Suite = suite{
	name:        "http2",
	about:       "small requests to a server that offers HTTP/2; the protocol column says what was spoken",
	comparisons: http2Comparisons,
	work:        newRequestWorker,
}

func http2Comparisons(short bool) []comparison {
	window := 240 * time.Millisecond
	if short {
		window = 40 * time.Millisecond
	}
	var all []comparison
	for _, capped := range []bool{false, true} {
		for _, callers := range []int{1, 16, 128, 256} {
			c := comparison{
				name:       "GET, " + plural(callers, "caller"),
				candidates: []candidate{netHTTP, again, ours}, baseline: netHTTP, twin: again,
				metric: "cpu", columns: []string{"cpu", "user", "sys", "rate", "allocs", "bytes"}, window: window,
				rust: true,
				spec: callersSpec{
					requestSpec{Method: http.MethodGet, Path: "/", TLS: true, HTTP2: true, Capped: capped}, callers,
				},
			}
			if capped {
				c.name += ", " + strconv.Itoa(cappedStreams) + " streams a connection"
			}
			all = append(all, c)
		}
	}
	return all
}
