package cost_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// The benchmarks in this file are those of bench_linux_test.go over HTTP/2: the server is Go's, in a process of its
// own, and both transports take turns within one run.

// serverHTTP2Env holds the path of the server's certificate and key, or "-" for none, and the number of streams it allows.
const serverHTTP2Env = "PEERPOOL_BENCH_HTTP2_SERVER"

func init() {
	if spec := os.Getenv(serverHTTP2Env); spec != "" {
		benchHTTP2Server(spec)
		os.Exit(0)
	}
}

// benchHTTP2Server answers until its standard input ends.
func benchHTTP2Server(spec string) {
	path, streams, _ := strings.Cut(spec, " ")
	limit, err := strconv.Atoi(streams)
	if err != nil {
		log.Fatal(err)
	}
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(ln.Addr().(*net.TCPAddr).Port)
	srv := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }),
		HTTP2:   &http.HTTP2Config{MaxConcurrentStreams: limit},
	}
	if path == "-" {
		srv.Protocols = testkit.PriorKnowledge()
		go func() { log.Fatal(srv.Serve(ln)) }()
	} else {
		go func() { log.Fatal(srv.ServeTLS(ln, path, path)) }()
	}
	io.Copy(io.Discard, os.Stdin)
}

// startBenchHTTP2Server returns the server's URL and what a client needs to trust it.
func startBenchHTTP2Server(b *testing.B, plain bool, streams int) (url string, cfg *tls.Config) {
	b.Helper()
	if plain {
		return "http://127.0.0.1:" + runBenchHTTP2Server(b, "-", streams), nil
	}
	ca := httptestutil.NewCA(b)
	cert := ca.Server()
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		b.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	for _, der := range cert.Certificate {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	path := filepath.Join(b.TempDir(), "server.pem")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		b.Fatal(err)
	}
	return "https://127.0.0.1:" + runBenchHTTP2Server(b, path, streams), &tls.Config{RootCAs: ca.Pool()}
}

// runBenchHTTP2Server starts the server, which ends with the benchmark, and returns its port.
func runBenchHTTP2Server(b *testing.B, path string, streams int) (port string) {
	b.Helper()
	stdout := runSelf(b, fmt.Sprintf("%s=%s %d", serverHTTP2Env, path, streams))
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// benchLoad counts what the callers have done in a period.
type benchLoad struct {
	perSecond float64
	cpu       time.Duration // of a request
}

// runBenchLoad lets callers send requests for a while.
func runBenchLoad(b *testing.B, rt http.RoundTripper, url string, callers int, d time.Duration) benchLoad {
	var n atomic.Int64
	var wg sync.WaitGroup
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	before, start := cpuTime(), time.Now()
	for range callers {
		wg.Go(func() {
			req, _ := http.NewRequest("GET", url, nil)
			for ctx.Err() == nil {
				if err := benchExchange(rt, req); err != nil {
					b.Error(err)
					return
				}
				n.Add(1)
			}
		})
	}
	wg.Wait()
	return benchLoad{float64(n.Load()) / time.Since(start).Seconds(), (cpuTime() - before) / time.Duration(n.Load())}
}

// BenchmarkHTTP2 compares requests per second, and the client's CPU time for each, with and without TLS on loopback.
func BenchmarkHTTP2(b *testing.B) {
	for _, c := range []struct {
		name             string
		plain            bool
		streams, callers int
	}{
		{"tls", false, 1000, 1},
		{"tls", false, 1000, 16},
		{"tls", false, 1000, 128},
		{"tls", false, 1000, 256},
		{"tls", false, 100, 256},
		{"h2c", true, 1000, 1},
		{"h2c", true, 1000, 16},
		{"h2c", true, 1000, 256},
	} {
		b.Run(fmt.Sprintf("%s/streams=%d/callers=%d", c.name, c.streams, c.callers), func(b *testing.B) {
			url, cfg := startBenchHTTP2Server(b, c.plain, c.streams)
			theirs := &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true, DisableCompression: true}
			ours := &peerpool.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true, DisableCompression: true}
			if c.plain {
				theirs.Protocols, ours.Protocols = testkit.PriorKnowledge(), testkit.PriorKnowledge()
			}
			compareBenchLoads(b, url, c.callers, theirs, ours)
		})
	}
}

// compareBenchLoads has both transports take turns, and reports the medians.
func compareBenchLoads(b *testing.B, url string, callers int, theirs, ours http.RoundTripper) {
	var rate, cpu [2][]float64
	var faster, cheaper []float64
	for range 7 {
		for i, rt := range []http.RoundTripper{theirs, ours} {
			runBenchLoad(b, rt, url, callers, 100*time.Millisecond)
			load := runBenchLoad(b, rt, url, callers, 500*time.Millisecond)
			rate[i] = append(rate[i], load.perSecond)
			cpu[i] = append(cpu[i], float64(load.cpu.Nanoseconds()))
		}
		last := len(rate[0]) - 1
		faster = append(faster, rate[1][last]/rate[0][last])
		cheaper = append(cheaper, cpu[1][last]/cpu[0][last])
	}
	for range b.N {
	}
	for i, name := range []string{"nethttp", "peerpool"} {
		b.ReportMetric(median(rate[i]), name+"-req/s")
		b.ReportMetric(median(cpu[i]), name+"-cpu-ns/req")
	}
	b.ReportMetric(median(faster), "rate-ratio")
	b.ReportMetric(median(cheaper), "cpu-ratio")
}
