package reuse_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/testkit"
)

// capped is a load of callers in simulated time, on connections that take a while to open and end all the time.
type capped struct {
	protocols *http.Protocols
	tls       bool
	callers   int
	handshake time.Duration // how long a dial takes
	serves    time.Duration // how long the server takes for a request
	pause     time.Duration // between two requests of a caller
	requests  int           // number after which the server ends a connection; 0 if it does not
}

// run returns how long the requests took, the shortest time first, and the most connections that there were at a time. It
// leaves out the first half of each caller's requests, while the Transport learns.
func (l capped) run(t *testing.T, tr *peerpool.Transport) (took []time.Duration, most int) {
	const each = 500
	synctest.Test(t, func(t *testing.T) {
		var config *tls.Config
		if l.tls {
			config = new(tls.Config)
		}
		var served sync.Map // number of requests, by connection
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{
			Listener: httptestutil.NewListener(0), Protocols: l.protocols, TLS: config,
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				time.Sleep(l.serves)
				n, _ := served.LoadOrStore(r.RemoteAddr, 0)
				served.Store(r.RemoteAddr, n.(int)+1)
				if n.(int)+1 == l.requests {
					w.Header().Set("Connection", "close")
				}
			}),
		})
		tr := tr.Clone()
		tr.Protocols = l.protocols
		tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			time.Sleep(l.handshake)
			return o.Dial(ctx, network, addr)
		}
		if l.tls {
			tr.TLSClientConfig = o.ClientTLS()
		}
		s := testkit.Observe(t, tr)
		var mu sync.Mutex // guards took and most
		testkit.Crowd(t, l.callers, func(caller int) error {
			time.Sleep(time.Duration(caller) * (l.serves + l.pause) / time.Duration(l.callers))
			for i := range each {
				start := time.Now()
				resp, err := s.RoundTrip(testkit.NewRequest(t, http.MethodGet, o.URL(), nil))
				if err != nil {
					return err
				}
				_, err = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if err != nil {
					return err
				}
				st := s.Stats()
				mu.Lock()
				if i >= each/2 {
					took = append(took, time.Since(start))
					most = max(most, st.Idle+st.Active+st.Dialing)
				}
				mu.Unlock()
				time.Sleep(l.pause)
			}
			return nil
		})
		st := s.Stats()
		t.Logf("replacements %d, misses %v, closes %v, learned %v", st.Replacements, st.Misses, st.Closes, st.Learned)
	})
	slices.Sort(took)
	return took, most
}

// TestNoRequestIsSlowerBecauseOfACap checks that a cap does not change the 99th percentile of the times, and that there is
// at most one connection more than the callers can use at a time.
func TestNoRequestIsSlowerBecauseOfACap(t *testing.T) {
	const idle = 200 * time.Millisecond // so that connections that were opened while the Transport learned are gone
	for _, protocol := range []struct {
		name   string
		spoken *http.Protocols
		tls    bool
	}{
		{"HTTP/1.1", testkit.Versions(testkit.OverHTTP1), false},
		{"HTTP/1.1 over TLS", testkit.Versions(testkit.OverHTTP1), true},
		{"HTTP/2 over TLS", testkit.Versions(testkit.OverHTTP2), true},
	} {
		for _, pace := range []struct {
			callers                  int
			handshake, serves, pause time.Duration
			slow                     bool // dials take too long to replace connections as fast as a limit of 30 requests asks for
		}{
			{1, 50 * time.Millisecond, 5 * time.Millisecond, 15 * time.Millisecond, false},
			{4, 50 * time.Millisecond, 5 * time.Millisecond, 15 * time.Millisecond, false},
			{4, 200 * time.Millisecond, 5 * time.Millisecond, 15 * time.Millisecond, true},
			{4, 20 * time.Millisecond, time.Millisecond, time.Millisecond, true},
		} {
			if protocol.tls && protocol.spoken.HTTP1() && pace.callers > 1 {
				continue // as without TLS
			}
			load := capped{protocol.spoken, protocol.tls, pace.callers, pace.handshake, pace.serves, pace.pause, 0}
			name := fmt.Sprintf("%s/%d callers, dials of %v, requests of %v every %v", protocol.name, pace.callers, pace.handshake, pace.serves, pace.pause)
			t.Run(name, func(t *testing.T) {
				free, _ := load.run(t, &peerpool.Transport{IdleConnTimeout: idle})
				usable := 1 // one HTTP/2 connection carries the requests of all callers
				if protocol.spoken.HTTP1() {
					usable = pace.callers
				}
				for _, c := range []struct {
					name     string
					tr       *peerpool.Transport
					requests int
				}{
					{"MaxConnLifetime", &peerpool.Transport{MaxConnLifetime: time.Second, IdleConnTimeout: idle}, 0},
					{"MaxConnReuse", &peerpool.Transport{MaxConnReuse: 100, IdleConnTimeout: idle}, 0},
					{"a limit of the server", &peerpool.Transport{IdleConnTimeout: idle}, 30},
				} {
					if c.requests > 0 && (!protocol.spoken.HTTP1() || pace.slow) {
						continue // no limits are learned over HTTP/2
					}
					load.requests = c.requests
					took, most := load.run(t, c.tr)
					p99, want := took[len(took)*99/100], free[len(free)*99/100]
					t.Logf("%s: p99 %v, %v without a cap, longest %v; at most %d connections", c.name, p99, want, took[len(took)-1], most)
					if p99 != want {
						t.Errorf("%s: the 99th percentile is %v, want %v", c.name, p99, want)
					}
					if most > usable+1 {
						t.Errorf("%s: there were %d connections at a time, want at most %d", c.name, most, usable+1)
					}
				}
			})
		}
	}
}
