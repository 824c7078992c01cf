package cost_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/peerpool/peerpool"
	"github.com/peerpool/peerpool/internal/memtest"
)

// The benchmarks in this file run the server as a process of its own, so that the CPU time and the memory they
// report are the client's. Both transports take turns within one run; the ratio is the median over the rounds.

const serverEnv = "PEERPOOL_BENCH_SERVER"

// init turns the test binary into the server when it is started as one.
func init() {
	if os.Getenv(serverEnv) != "" {
		benchServer()
		os.Exit(0)
	}
}

var (
	headEnd     = []byte("\r\n\r\n")
	benchAnswer = []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nServer: bench\r\n" +
		"Date: Sun, 22 Nov 2026 00:00:00 GMT\r\nContent-Length: 5\r\n\r\nhello")
)

// benchServer answers every request head with the same bytes until its standard input ends.
func benchServer() {
	ln, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(ln.Addr().(*net.TCPAddr).Port)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go serveBench(c)
		}
	}()
	io.Copy(io.Discard, os.Stdin)
}

func serveBench(c net.Conn) {
	defer c.Close()
	buf := make([]byte, 2048)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		for range bytes.Count(buf[:n], headEnd) {
			if _, err := c.Write(benchAnswer); err != nil {
				return
			}
		}
	}
}

// runSelf starts this test binary as a server, with one more environment variable, and returns its standard output. The
// server ends with the benchmark.
func runSelf(b *testing.B, env string) io.Reader {
	b.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), env)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { stdin.Close(); cmd.Wait() })
	return stdout
}

func startBenchServer(b *testing.B) (port int) {
	b.Helper()
	stdout := runSelf(b, serverEnv+"=1")
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	port, err = strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		b.Fatal(err)
	}
	return port
}

// candidate is a transport under measurement.
type benchCandidate struct {
	name string
	rt   http.RoundTripper
}

func benchCandidates() []benchCandidate {
	return []benchCandidate{
		{"nethttp", &http.Transport{MaxIdleConnsPerHost: 1 << 20, DisableCompression: true}},
		{"peerpool", &peerpool.Transport{MaxIdleConnsPerHost: 1 << 20, DisableCompression: true}},
	}
}

func benchExchange(rt http.RoundTripper, req *http.Request) error {
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return err
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// cpuPerRequest lets callers send requests for a while.
func cpuPerRequest(b *testing.B, rt http.RoundTripper, urls []string, callers int, d time.Duration) time.Duration {
	var n atomic.Int64
	var wg sync.WaitGroup
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	before := cpuTime()
	for c := range callers {
		wg.Go(func() {
			reqs := make([]*http.Request, 0, len(urls)/callers+1)
			for i := c; i < len(urls); i += callers {
				req, _ := http.NewRequest("GET", urls[i], nil)
				reqs = append(reqs, req)
			}
			for i := 0; ctx.Err() == nil; i++ {
				if err := benchExchange(rt, reqs[i%len(reqs)]); err != nil {
					b.Error(err)
					return
				}
				n.Add(1)
			}
		})
	}
	wg.Wait()
	return (cpuTime() - before) / time.Duration(n.Load())
}

func median[T int64 | float64 | time.Duration](v []T) T {
	slices.Sort(v)
	return v[len(v)/2]
}

// BenchmarkCPU compares the client's CPU time per request over loopback TCP.
func BenchmarkCPU(b *testing.B) {
	port := startBenchServer(b)
	for _, callers := range []int{1, 16, 128} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			urls := make([]string, callers)
			for i := range urls {
				urls[i] = fmt.Sprintf("http://127.0.0.1:%d/", port)
			}
			both := benchCandidates()
			var ratios []float64
			var cost [2][]time.Duration
			for range 7 {
				var round [2]time.Duration
				for i, c := range both {
					cpuPerRequest(b, c.rt, urls, callers, 100*time.Millisecond)
					round[i] = cpuPerRequest(b, c.rt, urls, callers, 500*time.Millisecond)
					cost[i] = append(cost[i], round[i])
				}
				ratios = append(ratios, float64(round[1])/float64(round[0]))
			}
			for range b.N {
			}
			b.ReportMetric(float64(median(cost[0]).Nanoseconds()), "nethttp-cpu-ns/req")
			b.ReportMetric(float64(median(cost[1]).Nanoseconds()), "peerpool-cpu-ns/req")
			b.ReportMetric(median(ratios), "ratio")
		})
	}
}

// BenchmarkPeers compares what a request costs with one peer and with 10,000, each with one idle connection,
// and what is left of them afterwards.
func BenchmarkPeers(b *testing.B) {
	const peers = 10_000
	port := startBenchServer(b)
	one := []string{fmt.Sprintf("http://127.0.0.1:%d/", port)}
	many := make([]string, peers)
	for i := range many {
		many[i] = fmt.Sprintf("http://127.%d.%d.%d:%d/", 1+i>>16, i>>8&255, i&255, port)
	}
	for _, c := range benchCandidates() {
		b.Run(c.name, func(b *testing.B) {
			heap := memtest.HeapInUse()
			cpuPerRequest(b, c.rt, one, 1, 200*time.Millisecond)
			single := cpuPerRequest(b, c.rt, one, 1, time.Second)
			rss := residentBytes(b)
			for _, u := range many {
				req, _ := http.NewRequest("GET", u, nil)
				if err := benchExchange(c.rt, req); err != nil {
					b.Fatal(err)
				}
			}
			debug.FreeOSMemory()
			debug.FreeOSMemory()
			b.ReportMetric(float64(residentBytes(b)-rss)/peers, "rss-B/peer")
			wide := cpuPerRequest(b, c.rt, many, 1, 2*time.Second)
			b.ReportMetric(float64(single.Nanoseconds()), "one-peer-cpu-ns/req")
			b.ReportMetric(float64((wide - single).Nanoseconds()), "added-cpu-ns/req")
			c.rt.(interface{ CloseIdleConnections() }).CloseIdleConnections()
			time.Sleep(100 * time.Millisecond)
			b.ReportMetric(float64(memtest.HeapInUse()-heap)/peers, "heap-left-B/peer")
			for range b.N {
			}
		})
	}
}

// BenchmarkIdle opens 10,000 connections to one peer and measures what each costs while it idles. Run one
// transport at a time: memory that the first has freed would hide what the second takes.
func BenchmarkIdle(b *testing.B) {
	const conns = 10_000
	port := startBenchServer(b)
	for _, c := range benchCandidates() {
		b.Run(c.name, func(b *testing.B) {
			req, _ := http.NewRequest("GET", fmt.Sprintf("http://127.0.0.1:%d/", port), nil)
			if err := benchExchange(c.rt, req); err != nil {
				b.Fatal(err)
			}
			resps := make([]*http.Response, conns)
			debug.FreeOSMemory()
			rss, goroutines := residentBytes(b), runtime.NumGoroutine()
			for i := range resps {
				resp, err := c.rt.RoundTrip(req)
				if err != nil {
					b.Fatal(err)
				}
				resps[i] = resp
			}
			for i, resp := range resps {
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				resps[i] = nil
			}
			debug.FreeOSMemory() // twice: what a sync.Pool holds goes with the second collection
			debug.FreeOSMemory()
			b.ReportMetric(float64(residentBytes(b)-rss)/conns, "rss-B/idle-conn")
			b.ReportMetric(float64(runtime.NumGoroutine()-goroutines)/conns, "goroutines/idle-conn")
			for range b.N {
			}
			c.rt.(interface{ CloseIdleConnections() }).CloseIdleConnections()
		})
	}
}

func residentBytes(b *testing.B) int64 {
	b.Helper()
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(statm))[1], 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}
