package testkit

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// Subject is a Transport under test, with verbs that fail the test and the ledger of what its Observer was told.
type Subject struct {
	*peerpool.Transport
	T      testing.TB
	Events *ledger
}

// Observe puts tr to the test. When that ends, every connection must be accounted for, and none in use.
func Observe(t testing.TB, tr *peerpool.Transport) *Subject {
	t.Helper()
	s := &Subject{Transport: tr, T: t, Events: NewLedger()}
	if tr.Observer == nil {
		tr.Observer = s.Events.Observer()
	}
	t.Cleanup(s.settleAccounts)
	return s
}

// settleAccounts waits until nothing is under way and compares what the pool and the observer say.
func (s *Subject) settleAccounts() {
	s.T.Helper()
	s.CloseIdleConnections()
	s.Await("nothing in use, no dial, nobody waiting", func(st peerpool.Stats) bool {
		return st.Active+st.Dialing+st.Waiting+st.Idle == 0
	})
	s.Balanced()
}

// Balanced checks that every connection opened is somewhere, and that none was closed for a reason that CloseReasons does not
// list: programs that count by that list would lose it.
func (s *Subject) Balanced() {
	s.T.Helper()
	st := s.Stats()
	if uint64(st.Idle+st.Active)+st.Hijacked+ClosesOf(st) != st.Opened {
		s.T.Errorf("the books do not balance: %+v", st)
	}
	for reason := range st.Closes {
		if !slices.Contains(peerpool.CloseReasons(), reason) {
			s.T.Errorf("connections were closed as %q, which CloseReasons does not list", reason)
		}
	}
}

func ClosesOf(st peerpool.Stats) uint64 {
	var n uint64
	for _, c := range st.Closes {
		n += c
	}
	return n
}

// Await waits until cond holds of the Stats, and ends the test if that takes too long. It is for what other
// goroutines do: the watcher, a body that is being closed, a dial that nobody waits for.
func (s *Subject) Await(what string, cond func(peerpool.Stats) bool) {
	s.T.Helper()
	Eventually(s.T, what, func() bool { return cond(s.Stats()) }, func() any { return s.Stats() })
}

// Eventually waits until cond holds. It looks again and again, since what it waits for tells nobody.
func Eventually(t testing.TB, what string, cond func() bool, show func() any) {
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

// Get fetches url and returns the body of its 200.
func (s *Subject) Get(url string) string {
	s.T.Helper()
	return s.Ok(NewRequest(s.T, http.MethodGet, url, nil))
}

// Ok sends req and returns the body of its 200.
func (s *Subject) Ok(req *http.Request) string {
	s.T.Helper()
	body, err := s.Try(req)
	if err != nil {
		s.T.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	return body
}

// Try is ok for any goroutine: it leaves it to the caller what an error means, a status other than 200 included.
func (s *Subject) Try(req *http.Request) (string, error) {
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

// Send sends req and reads its response to the end.
func (s *Subject) Send(req *http.Request) (*http.Response, string) {
	s.T.Helper()
	resp, err := s.RoundTrip(req)
	if err != nil {
		s.T.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	return resp, ReadBody(s.T, resp)
}

// Seen fetches an Echo and returns what the origin saw.
func (s *Subject) Seen(req *http.Request) httptestutil.Seen {
	s.T.Helper()
	resp, err := s.RoundTrip(req)
	if err != nil {
		s.T.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	return httptestutil.ReadSeen(s.T, resp)
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

// Fails sends req, which must fail.
func Fails(s *Subject, req *http.Request) failure {
	s.T.Helper()
	ctx, report := peerpool.WithReport(req.Context())
	resp, err := s.RoundTrip(req.WithContext(ctx))
	if err == nil {
		resp.Body.Close()
		s.T.Fatalf("%s %s: %s, want an error", req.Method, req.URL, resp.Status)
	}
	return lastOf(s.T, report, err)
}

// FailsToDial is fails for a request that gets no connection.
func FailsToDial(s *Subject, req *http.Request) failure {
	s.T.Helper()
	last := Fails(s, req)
	if last.Hop == "" || last.Protocol != "" || last.Wrote || last.Started {
		s.T.Errorf("want a dial that fails: %v", last)
	}
	return last
}

// FailsToExchange is fails for a request that gets a connection, and no response.
func FailsToExchange(s *Subject, req *http.Request) failure {
	s.T.Helper()
	last := Fails(s, req)
	if last.Hop != "" || last.Protocol == "" {
		s.T.Errorf("want an exchange that fails: %v", last)
	}
	return last
}

// Closes checks that the pool has closed n connections for that reason, waiting for it if it must.
func (s *Subject) Closes(reason peerpool.CloseReason, n uint64) {
	s.T.Helper()
	s.Await(fmt.Sprintf("%d closed for %q", n, reason), func(st peerpool.Stats) bool { return st.Closes[reason] == n })
}

// NewRequest is http.NewRequest with a context that ends with the test, so that a broken walk fails it.
func NewRequest(t testing.TB, method, url string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// With sets header fields, given as "Name: value".
func With(req *http.Request, fields ...string) *http.Request {
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		req.Header.Add(name, value)
	}
	return req
}

func ReadBody(t testing.TB, resp *http.Response) string {
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

// Known returns the one identity that the pool knows.
func (s *Subject) Known() peerpool.Identity {
	s.T.Helper()
	peers := s.Stats().Peers
	if len(peers) != 1 {
		s.T.Fatalf("the pool knows %d identities, want 1", len(peers))
	}
	return peers[0].Identity
}

// Numbered answers each request with the number of its connection and its own on that, as in "2.1". extra is
// added to the head.
func Numbered(extra ...string) httptestutil.Script {
	return func(c *httptestutil.WireConn) {
		for seq := 1; c.ReadRequest() != nil; seq++ {
			c.Write(httptestutil.ResponseWith(200, fmt.Sprintf("%d.%d", c.Number(), seq), extra...))
		}
		c.WaitClosed()
	}
}

// WantNumbers sends a request for each of the numbers that it wants to get.
func (s *Subject) WantNumbers(numbers ...string) {
	s.T.Helper()
	for _, want := range numbers {
		if got := s.Get("http://example.test"); got != want {
			s.T.Errorf("served as %s, want %s; closes %v", got, want, s.Stats().Closes)
		}
	}
}

// Reaping is how much later than it could the reaper may close a connection that nobody asks for.
const Reaping = time.Millisecond

// InBubble runs a test with a numbered server in memory.
func InBubble(t *testing.T, script httptestutil.Script, tr *peerpool.Transport, test func(t *testing.T, s *Subject)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		_, memory := InMemory(t, script)
		tr := tr.Clone()
		tr.DialContext = memory.DialContext
		test(t, Observe(t, tr))
	})
}

// ClosedNow is closes in a bubble: it waits for no time to pass.
func (s *Subject) ClosedNow(reason peerpool.CloseReason, n uint64) {
	s.T.Helper()
	synctest.Wait()
	if st := s.Stats(); st.Closes[reason] != n {
		s.T.Errorf("%d closed for %q, want %d; closes %v", st.Closes[reason], reason, n, st.Closes)
	}
}

// Together has n requests of one peer under way at the same time, and lets them end.
func (s *Subject) Together(n int) {
	s.T.Helper()
	var open []interface{ Close() error }
	for range n {
		open = append(open, s.Open("http://example.test", 1).Body)
	}
	for _, body := range open {
		body.Close()
	}
}

const Ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// Unrest sends requests that end in every way, from several callers.
func Unrest(s *Subject, callers, rounds int, urls ...string) {
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for round := range rounds {
				method := []string{"GET", "POST", "PUT"}[(caller+round)%3]
				req := NewRequest(s.T, method, urls[(caller+round)%len(urls)], strings.NewReader("body"))
				resp, err := s.RoundTrip(req)
				if err != nil {
					continue
				}
				if round%5 == 0 {
					peerpool.DiscardConn(resp)
				}
				if round%7 != 0 {
					resp.Body.Read(make([]byte, 100))
				}
				resp.Body.Close()
			}
		})
	}
	wg.Wait()
}

func Agree[N comparable](t *testing.T, what string, observed, counted N) {
	t.Helper()
	if observed != counted {
		t.Errorf("%s: observed %v, counted %v", what, observed, counted)
	}
}

// PeersAddUp checks that the shares of all peers make the whole.
func (s *Subject) PeersAddUp() {
	s.T.Helper()
	st := s.Stats()
	var sum peerpool.PeerStats
	for _, p := range st.Peers {
		sum.Idle += p.Idle
		sum.Active += p.Active
		sum.Dialing += p.Dialing
		sum.Waiting += p.Waiting
	}
	if sum.Idle != st.Idle || sum.Active != st.Active || sum.Dialing != st.Dialing || sum.Waiting != st.Waiting {
		s.T.Errorf("the peers have %+v, of %+v", sum, st)
	}
}
