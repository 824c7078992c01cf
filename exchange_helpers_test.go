package peerpool_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// subject is a Transport under test, with verbs that fail the test and the ledger of what its Observer was told.
type subject struct {
	*peerpool.Transport
	t      testing.TB
	events *ledger
}

// observe puts tr to the test. When that ends, every connection must be accounted for, and none in use.
func observe(t testing.TB, tr *peerpool.Transport) *subject {
	t.Helper()
	s := &subject{Transport: tr, t: t, events: newLedger()}
	if tr.Observer == nil {
		tr.Observer = s.events.observer()
	}
	t.Cleanup(s.settleAccounts)
	return s
}

// settleAccounts waits until nothing is under way and compares what the pool and the observer say.
func (s *subject) settleAccounts() {
	s.t.Helper()
	s.CloseIdleConnections()
	s.await("nothing in use, no dial, nobody waiting", func(st peerpool.Stats) bool {
		return st.Active+st.Dialing+st.Waiting+st.Idle == 0
	})
	s.balanced()
}

// balanced checks that every connection opened is somewhere.
func (s *subject) balanced() {
	s.t.Helper()
	if st := s.Stats(); uint64(st.Idle+st.Active)+st.Hijacked+closesOf(st) != st.Opened {
		s.t.Errorf("the books do not balance: %+v", st)
	}
}

func closesOf(st peerpool.Stats) uint64 {
	var n uint64
	for _, c := range st.Closes {
		n += c
	}
	return n
}

// await waits until cond holds of the Stats, and ends the test if that takes too long. It is for what other
// goroutines do: the watcher, a body that is being closed, a dial that nobody waits for.
func (s *subject) await(what string, cond func(peerpool.Stats) bool) {
	s.t.Helper()
	eventually(s.t, what, func() bool { return cond(s.Stats()) }, func() any { return s.Stats() })
}

// eventually waits until cond holds. It looks again and again, since what it waits for tells nobody.
func eventually(t testing.TB, what string, cond func() bool, show func() any) {
	t.Helper()
	giveUp := time.NewTimer(httptestutil.Bound)
	defer giveUp.Stop()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for !cond() {
		select {
		case <-again.C:
		case <-giveUp.C:
			t.Fatalf("still not: %s; %+v", what, show())
		}
	}
}

// get fetches url and returns the body of its 200.
func (s *subject) get(url string) string {
	s.t.Helper()
	return s.ok(newRequest(s.t, http.MethodGet, url, nil))
}

// ok sends req and returns the body of its 200.
func (s *subject) ok(req *http.Request) string {
	s.t.Helper()
	body, err := s.try(req)
	if err != nil {
		s.t.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	return body
}

// try is ok for any goroutine: it leaves it to the caller what an error means, a status other than 200 included.
func (s *subject) try(req *http.Request) (string, error) {
	resp, err := s.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %.200s", resp.Status, body)
	}
	return string(body), err
}

// send sends req and reads its response to the end.
func (s *subject) send(req *http.Request) (*http.Response, string) {
	s.t.Helper()
	resp, err := s.RoundTrip(req)
	if err != nil {
		s.t.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	return resp, readBody(s.t, resp)
}

// seen fetches an Echo and returns what the origin saw.
func (s *subject) seen(req *http.Request) httptestutil.Seen {
	s.t.Helper()
	resp, err := s.RoundTrip(req)
	if err != nil {
		s.t.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	return httptestutil.ReadSeen(s.t, resp)
}

// failure is what RoundTrip returned, with what the Report tells of the last attempt.
type failure struct{ peerpool.Attempt }

func (f failure) Error() string { return f.Err.Error() }
func (f failure) Unwrap() error { return f.Err }
func (f failure) Timeout() bool { return f.ErrorType == "timeout" }

// lastOf returns the failure of the request that report tells of, which must be over.
func lastOf(t testing.TB, report *peerpool.Report, err error) failure {
	t.Helper()
	all := report.Attempts()
	if len(all) == 0 {
		t.Fatalf("the report tells of nothing, but %T %v was returned", err, err)
	}
	last := all[len(all)-1]
	if last.Err != err || !last.Done {
		t.Errorf("RoundTrip returned %T %v; the report has %T %v, done: %v", err, err, last.Err, last.Err, last.Done)
	}
	return failure{last}
}

// fails sends req, which must fail.
func fails(s *subject, req *http.Request) failure {
	s.t.Helper()
	ctx, report := peerpool.WithReport(req.Context())
	resp, err := s.RoundTrip(req.WithContext(ctx))
	if err == nil {
		resp.Body.Close()
		s.t.Fatalf("%s %s: %s, want an error", req.Method, req.URL, resp.Status)
	}
	return lastOf(s.t, report, err)
}

// failsToDial is fails for a request that gets no connection.
func failsToDial(s *subject, req *http.Request) failure {
	s.t.Helper()
	last := fails(s, req)
	if last.Hop == "" || last.Protocol != "" || last.Wrote || last.Started {
		s.t.Errorf("want a dial that fails: %v", last)
	}
	return last
}

// failsToExchange is fails for a request that gets a connection, and no response.
func failsToExchange(s *subject, req *http.Request) failure {
	s.t.Helper()
	last := fails(s, req)
	if last.Hop != "" || last.Protocol == "" {
		s.t.Errorf("want an exchange that fails: %v", last)
	}
	return last
}

// closes checks that the pool has closed n connections for that reason, waiting for it if it must.
func (s *subject) closes(reason peerpool.CloseReason, n uint64) {
	s.t.Helper()
	s.await(fmt.Sprintf("%d closed for %q", n, reason), func(st peerpool.Stats) bool { return st.Closes[reason] == n })
}

// newRequest is http.NewRequest with a context that ends with the test, so that a broken walk fails it.
func newRequest(t testing.TB, method, url string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// with sets header fields, given as "Name: value".
func with(req *http.Request, fields ...string) *http.Request {
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		req.Header.Add(name, value)
	}
	return req
}

func readBody(t testing.TB, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("reading the response's body: %v", err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatalf("closing the response's body: %v", err)
	}
	return string(b)
}

// trackedBody is a request body that knows whether it has been closed, and how much of it was read.
type trackedBody struct {
	io.Reader
	mu     sync.Mutex // guards what follows
	closes int
	shut   chan struct{} // closed with the body
}

func trackBody(r io.Reader) *trackedBody {
	return &trackedBody{Reader: r, shut: make(chan struct{})}
}

func (b *trackedBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closes++; b.closes == 1 {
		close(b.shut)
	}
	return nil
}

func (b *trackedBody) closings() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closes
}

// wantClosed waits until the body has been closed, which may be a moment after the response.
func (b *trackedBody) wantClosed(t testing.TB) {
	t.Helper()
	giveUp := time.NewTimer(httptestutil.Bound)
	defer giveUp.Stop()
	select {
	case <-b.shut:
	case <-giveUp.C:
		t.Fatal("the request's body has not been closed")
	}
}
