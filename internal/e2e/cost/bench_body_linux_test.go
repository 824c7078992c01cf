package cost_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The server of the benchmarks of bodies is a process of its own, as the other one is. It answers a GET with benchBody
// bytes, and discards the body of a POST and everything that its second port receives.

const (
	bodyServerEnv = "PEERPOOL_BENCH_BODIES"
	benchBody     = 256 << 20 // bytes
)

func init() {
	if os.Getenv(bodyServerEnv) != "" {
		serveBodies()
		os.Exit(0)
	}
}

func serveBodies() {
	web, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	sink, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(web.Addr(), sink.Addr())
	go func() {
		for {
			c, err := sink.Accept()
			if err != nil {
				return
			}
			go io.Copy(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c})
		}
	}()
	zeros := make([]byte, 256<<10)
	go http.Serve(web, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r.Body}, make([]byte, 256<<10))
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(benchBody))
		for range benchBody / len(zeros) {
			w.Write(zeros)
		}
	}))
	io.Copy(io.Discard, os.Stdin)
}

func startBodyServer(b *testing.B) (url, sink string) {
	b.Helper()
	stdout := runSelf(b, bodyServerEnv+"=1")
	var web string
	if _, err := fmt.Fscan(stdout, &web, &sink); err != nil {
		b.Fatal(err)
	}
	return "http://" + web + "/", sink
}

func download(rt http.RoundTripper, url string, to io.Writer) error {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	n, err := io.Copy(to, resp.Body)
	if err == nil && n != benchBody {
		err = fmt.Errorf("%d of %d bytes", n, benchBody)
	}
	return err
}

func upload(rt http.RoundTripper, url string, from io.ReadCloser) error {
	req, err := http.NewRequest(http.MethodPost, url, from)
	if err != nil {
		return err
	}
	req.ContentLength = benchBody
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// benchFile is a sparse file of benchBody bytes.
func benchFile(b *testing.B) string {
	b.Helper()
	name := filepath.Join(b.TempDir(), "body")
	f, err := os.Create(name)
	if err == nil {
		err = f.Truncate(benchBody)
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		b.Fatal(err)
	}
	return name
}

// zeroReader is a body that has only the method Read.
type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// BenchmarkBody compares the client's CPU time for large bodies over loopback TCP, for each GiB.
func BenchmarkBody(b *testing.B) {
	url, sink := startBodyServer(b)
	name := benchFile(b)
	for what, transfer := range map[string]func(http.RoundTripper) error{
		"discard": func(rt http.RoundTripper) error { return download(rt, url, io.Discard) },
		"toTCP": func(rt http.RoundTripper) error {
			c, err := net.Dial("tcp4", sink)
			if err != nil {
				return err
			}
			defer c.Close()
			return download(rt, url, c)
		},
		"toFile": func(rt http.RoundTripper) error {
			f, err := os.Create(filepath.Join(b.TempDir(), "copy"))
			if err != nil {
				return err
			}
			defer f.Close()
			return download(rt, url, f)
		},
		"fromFile": func(rt http.RoundTripper) error {
			f, err := os.Open(name)
			if err != nil {
				return err
			}
			return upload(rt, url, f)
		},
		"fromReader": func(rt http.RoundTripper) error {
			return upload(rt, url, io.NopCloser(io.LimitReader(zeroReader{}, benchBody)))
		},
	} {
		b.Run(what, func(b *testing.B) { benchBodies(b, transfer) })
	}
}

// benchBodies lets both transports take turns.
func benchBodies(b *testing.B, transfer func(http.RoundTripper) error) {
	var ratios []float64
	var cost [2][]time.Duration
	for turn := range 10 {
		var round [2]time.Duration
		both := benchCandidates()
		for i := range both {
			if turn%2 == 1 { // nobody is always the first
				i = 1 - i
			}
			c := both[i]
			before := cpuTime()
			if err := transfer(c.rt); err != nil {
				b.Fatal(c.name, ": ", err)
			}
			round[i] = (cpuTime() - before) * (1 << 30) / benchBody
			cost[i] = append(cost[i], round[i])
			c.rt.(interface{ CloseIdleConnections() }).CloseIdleConnections()
		}
		ratios = append(ratios, float64(round[1])/float64(round[0]))
	}
	for range b.N {
	}
	b.ReportMetric(median(cost[0]).Seconds()*1000, "nethttp-cpu-ms/GiB")
	b.ReportMetric(median(cost[1]).Seconds()*1000, "peerpool-cpu-ms/GiB")
	b.ReportMetric(float64(median(cost[1]))/float64(median(cost[0])), "median-ratio")
	b.ReportMetric(median(ratios), "ratio")
}
