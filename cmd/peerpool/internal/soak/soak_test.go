package soak

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peerpool/peerpool"
)

func TestNothingIsWrongLostTwiceCorruptedMixedOrLeaked(t *testing.T) {
	const n = 5000
	r, err := Run(t.Context(), Options{Requests: n, Seed: uint64(time.Now().UnixNano())})
	if err != nil {
		t.Fatal(err)
	}
	if r.Bad() > 0 || r.Requests != n {
		t.Error(r)
	}
	for _, fault := range []string{
		"restart", "408 on an idle connection", "plant an answer", "announce a close", "close behind the answer",
		"close before the request is read", "close without an answer", "reset without an answer", "close within the answer",
		"answer before the upload is read", "refuse the stream", "GOAWAY below the stream", "GOAWAY, and answer",
		"reset within the answer",
	} {
		if r.Faults[fault] == 0 {
			t.Errorf("no server did this: %s", fault)
		}
	}
	if r.Reused < n/10 {
		t.Errorf("%d arrivals on used connections, which shows little", r.Reused)
	}
}

// roundTripper makes something worse.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// worse are Transports with one fault each, and what the ledger must say about it.
var worse = map[Violation]func(http.RoundTripper) http.RoundTripper{
	WrongAnswer: func(rt http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			resp, err := rt.RoundTrip(req)
			if err == nil && resp.ContentLength > 0 && req.Method != http.MethodHead {
				b, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				slices.Reverse(b)
				resp.Body = io.NopCloser(bytes.NewReader(b))
			}
			return resp, err
		})
	},
	Lost: func(rt http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			if req.Method == http.MethodDelete {
				return nil, errors.New("given up")
			}
			return rt.RoundTrip(req)
		})
	},
	ExecutedTwice: func(rt http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			again := req.Clone(req.Context())
			resp, err := rt.RoundTrip(req)
			if err == nil && req.GetBody != nil && req.Method == http.MethodPost {
				resp.Body.Close()
				again.Body, _ = req.GetBody()
				return rt.RoundTrip(again)
			}
			return resp, err
		})
	},
	Corrupted: func(rt http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			if req.Body != nil && req.ContentLength > 1 {
				b, _ := io.ReadAll(req.Body)
				b[len(b)/2]++
				req.Body = io.NopCloser(bytes.NewReader(b))
				req.GetBody = nil
			}
			return rt.RoundTrip(req)
		})
	},
	Mixed: func(rt http.RoundTripper) http.RoundTripper {
		peer, err := peerpool.NewPeer(peerpool.PeerOptions{})
		if err != nil {
			panic(err)
		}
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			return rt.RoundTrip(req.WithContext(peerpool.WithPeer(req.Context(), peer)))
		})
	},
	Leaked: func(rt http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			if c, err := net.Dial("tcp", req.URL.Host); err == nil && req.Method == http.MethodDelete {
				unclosed.Store(c, true) // the garbage collector would close it
			} else if err == nil {
				c.Close()
			}
			return rt.RoundTrip(req)
		})
	},
}

// unclosed holds the connections that nobody closes.
var unclosed sync.Map

func TestTheLedgerSeesWhatIsWrong(t *testing.T) {
	for violation, wrap := range worse {
		t.Run(string(violation), func(t *testing.T) {
			var sent atomic.Int64
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			r, err := Run(ctx, Options{Requests: 300, Seed: 3, Settle: time.Second, Wrap: func(rt http.RoundTripper) http.RoundTripper {
				bad := wrap(rt)
				return roundTripper(func(req *http.Request) (*http.Response, error) {
					if sent.Add(1)%2 == 0 {
						return rt.RoundTrip(req)
					}
					return bad.RoundTrip(req)
				})
			}})
			if err != nil {
				t.Fatal(err)
			}
			if r.Counts[violation] == 0 {
				t.Error(r)
			}
		})
	}
}

func TestARefusedPostThatArrivesAgainAfterItFailedIsNotLost(t *testing.T) {
	for again, want := range map[bool]int{false: 1, true: 0} {
		l := newLedger()
		l.begin(1, entry{replayable: true})
		l.arrive(1, true)
		l.drop(1, true)
		l.end(1, outcome{err: io.ErrUnexpectedEOF})
		if again { // on a connection that has ended
			l.arrive(1, true)
			l.drop(1, false)
		}
		if r := l.sum(); r.Counts[Lost] != want || r.Failed != 1-want {
			t.Errorf("it arrives again: %v\n%v", again, r)
		}
	}
}

func TestASocketThatNobodyClosesIsHeldOpen(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var d dials
	for range 2 { // nobody refers to the connection any more
		if _, err := d.dialer().Dial("tcp", ln.Addr().String()); err != nil {
			t.Fatal(err)
		}
	}
	c, err := d.dialer().Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	for range 3 {
		runtime.GC()
	}
	if n := d.open(); n != 2 {
		t.Errorf("%d sockets are open, want 2", n)
	}
}

func TestTheLedgerAllowsWhatTheRulesDo(t *testing.T) {
	errLost := errors.New("lost")
	for _, c := range []struct {
		name string
		is   entry
		lost bool
	}{
		{"a GET that got no answer once", entry{idempotent: true, replayable: true, arrivals: 1, executed: 1, unanswered: 1}, true},
		{"a GET that nobody has seen", entry{idempotent: true, replayable: true}, true},
		{"a GET that a server's farewell may have crossed", entry{idempotent: true, replayable: true, rude: true}, false},
		{"a GET that got a part of an answer", entry{idempotent: true, replayable: true, arrivals: 1, begun: true}, false},
		{"a GET that got no answer three times", entry{idempotent: true, replayable: true, arrivals: 3, unanswered: 3}, false},
		{"a GET that its caller gave up", entry{idempotent: true, replayable: true, canceled: true}, false},
		{"a PUT whose body is gone", entry{idempotent: true, arrivals: 1, unanswered: 1}, false},
		{"a POST that may have been executed", entry{replayable: true, arrivals: 1, executed: 1, unanswered: 1}, false},
		{"a POST that was refused", entry{replayable: true, arrivals: 1, unanswered: 1, refused: 1}, true},
	} {
		l := newLedger()
		l.begin(1, c.is)
		l.end(1, outcome{err: errLost})
		if lost := l.sum().Counts[Lost] == 1; lost != c.lost {
			t.Errorf("%s is lost: %v", c.name, lost)
		}
	}
}
