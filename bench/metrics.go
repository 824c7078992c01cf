package main

// metric says how a figure is shown.
type metric struct {
	title  string
	digits int
}

// ratioDigits is how many digits of a ratio are shown.
const ratioDigits = 2

var metrics = map[string]metric{
	"cpu":        {"CPU µs/req", 2},
	"user":       {"user µs", 2},
	"sys":        {"sys µs", 2},
	"rate":       {"req/s", 0},
	"allocs":     {"allocs/req", 1},
	"bytes":      {"B/req", 0},
	"rss":        {"RSS B/conn", 0},
	"heap":       {"heap B/conn", 0},
	"goroutines": {"goroutines/conn", 3},
	"ns":         {"ns/op", 0},
	"cpuns":      {"CPU ns/op", 0},
	"poolallocs": {"allocs/op", 1},
	"gibcpu":     {"CPU s/GiB", 3},
	"gibwall":    {"wall s/GiB", 3},
	"gibbytes":   {"B allocated/GiB", 0},
	"conncpu":    {"CPU µs/conn", 1},
	"conns":      {"conn/s", 0},
	"connallocs": {"allocs/conn", 0},
	"resumed":    {"resumed %", 0},
	"burstcpu":   {"CPU ms/burst", 2},
	"burstwall":  {"wall ms/burst", 2},
	"burstconns": {"conns/burst", 0},
	"one":        {"1 peer µs", 2},
	"hundred":    {"100 peers µs", 2},
	"many":       {"10,000 peers µs", 2},
	"address1":   {"1 address µs", 2},
	"address3":   {"3 addresses µs", 2},
	"address100": {"100 addresses µs", 2},
	"spread3":    {"of 3: off even %", 1},
	"spread100":  {"of 100: off even %", 1},
	"memberget":  {"GETs", 0},
	"lostget":    {"GETs lost", 0},
	"memberpost": {"POSTs", 0},
	"lostpost":   {"POSTs lost", 0},
	"share":      {"ms to a new member's share", 0},
	"added":      {"added µs", 2},
	"peakheap":   {"heap B at the end", 0},
	"left":       {"heap B left/peer", 1},
	"p50":        {"p50 µs", 0},
	"p99":        {"p99 µs", 0},
	"p999":       {"p99.9 µs", 0},
	"load":       {"load req/s", 0},
}
