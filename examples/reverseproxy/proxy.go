package main

import (
	"errors"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/peerpool/peerpool"
)

// front is the proxy. It listens on a free port of loopback.
type front struct {
	*http.Server
	url string
}

// serveProxy runs an httputil.ReverseProxy over rt in front of backends, which take turns. It counts in elsewhere the requests
// that it has sent to a second backend.
func serveProxy(rt http.RoundTripper, backends []*url.URL, elsewhere *atomic.Int64) (*front, error) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	var turn atomic.Uint64
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(backends[turn.Add(1)%uint64(len(backends))])
			r.SetXForwarded()
		},
		Transport: &failover{next: rt, backends: backends, elsewhere: elsewhere},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil { // the client is still there
				log.Printf("%s %s: %v", r.Method, r.URL, err)
			}
			w.WriteHeader(http.StatusBadGateway)
		},
	}
	f := &front{
		Server: &http.Server{Handler: proxy, ReadHeaderTimeout: time.Minute},
		url:    "http://" + ln.Addr().String(),
	}
	go func() { // ends with Close
		if err := f.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			log.Print(err)
		}
	}()
	return f, nil
}

// failover sends a request that its backend has not answered to the other backends in turn. peerpool has already tried the same
// backend again. Only the program can know which other server may answer instead.
type failover struct {
	next      http.RoundTripper
	backends  []*url.URL
	elsewhere *atomic.Int64
}

// RoundTrip implements http.RoundTripper.
func (f *failover) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, report := peerpool.WithReport(req.Context())
	resp, err := f.next.RoundTrip(req.WithContext(ctx))
	if err == nil || !maySendElsewhere(req, report) {
		return resp, err
	}
	f.elsewhere.Add(1)
	first := slices.IndexFunc(f.backends, func(b *url.URL) bool { return b.Host == req.URL.Host })
	for n := range rounds * len(f.backends) {
		ctx, report = peerpool.WithReport(req.Context())
		again := req.Clone(ctx)
		again.URL.Host = f.backends[(first+1+n)%len(f.backends)].Host
		if resp, err = f.next.RoundTrip(again); err == nil || !maySendElsewhere(req, report) {
			break
		}
	}
	return resp, err
}

// rounds is how many times all backends are tried. The first one is among them, because it may be back.
const rounds = 2

// maySendElsewhere reports whether a failed request may be sent to another server: its body can be sent again, and either its
// method is safe, or the Report says that nothing of it was sent.
func maySendElsewhere(req *http.Request, report *peerpool.Report) bool {
	if req.Context().Err() != nil || req.Body != nil && req.Body != http.NoBody {
		return false
	}
	if req.Method == http.MethodGet || req.Method == http.MethodHead {
		return true
	}
	return len(report.Attempts()) > 0 && !report.Wrote()
}
