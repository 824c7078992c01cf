package testkit

import (
	"context"
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
	"github.com/peerpool/peerpool/internal/nettest"
)

// Subject is a Transport under test. Its methods fail the test if something goes wrong. Its ledger holds what was reported
// to its Observer.
type Subject struct {
	*peerpool.Transport
	T      testing.TB
	Events *ledger
}

// Observe returns a Subject for tr. When the test ends, every connection must be accounted for, and none may be in use.
func Observe(t testing.TB, tr *peerpool.Transport) *Subject {
	t.Helper()
	s := &Subject{Transport: tr, T: t, Events: NewLedger()}
	if tr.Observer == nil {
		tr.Observer = s.Events.Observer()
	}
	t.Cleanup(s.settleAccounts)
	return s
}

// settleAccounts waits until nothing is under way, and compares what the pool and the observer say.
func (s *Subject) settleAccounts() {
	s.T.Helper()
	s.CloseIdleConnections()
	s.Await("nothing in use, no dial, nobody waiting", func(st peerpool.Stats) bool {
		return st.Active+st.Dialing+st.Waiting+st.Idle == 0
	})
	s.Balanced()
}

// Balanced checks that every opened connection is accounted for, and that each was closed for a reason that CloseReasons
// lists. Programs that count by that list would otherwise miss it.
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

// Await waits until cond holds for the Stats, and ends the test if that takes too long. It is for the work of other
// goroutines: the watcher, a body that is being closed, a dial for which no request waits.
func (s *Subject) Await(what string, cond func(peerpool.Stats) bool) {
	s.T.Helper()
	nettest.Eventually(s.T, what, func() bool { return cond(s.Stats()) }, func() any { return s.Stats() })
}

// Fetch sends a GET and reads the body of its response, whatever the status is. It may be called on any goroutine.
func Fetch(ctx context.Context, rt http.RoundTripper, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// Get fetches url and returns the body of the response, whose status must be 200.
func (s *Subject) Get(url string) string {
	s.T.Helper()
	return s.Ok(NewRequest(s.T, http.MethodGet, url, nil))
}

// Ok sends req and returns the body of the response, whose status must be 200.
func (s *Subject) Ok(req *http.Request) string {
	s.T.Helper()
	body, err := s.Try(req)
	if err != nil {
		s.T.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	return body
}

// Try does what Ok does, but may be called on any goroutine. It returns an error instead of failing the test, also for a
// status other than 200.
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

// Send sends req and reads the response to its end.
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

// failure is the error of RoundTrip, with what the Report says about the last attempt.
type failure struct{ peerpool.Attempt }

func (f failure) Error() string { return f.Err.Error() }

func (f failure) Unwrap() error { return f.Err }

func (f failure) Timeout() bool { return f.ErrorType == "timeout" }

// lastOf returns the failure of the request that report describes. The request must have ended.
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

// FailsToDial does what Fails does, for a request that gets no connection.
func FailsToDial(s *Subject, req *http.Request) failure {
	s.T.Helper()
	last := Fails(s, req)
	if last.Hop == "" || last.Protocol != "" || last.Wrote || last.Started {
		s.T.Errorf("want a dial that fails: %v", last)
	}
	return last
}

// FailsToExchange does what Fails does, for a request that gets a connection and no response.
func FailsToExchange(s *Subject, req *http.Request) failure {
	s.T.Helper()
	last := Fails(s, req)
	if last.Hop != "" || last.Protocol == "" {
		s.T.Errorf("want an exchange that fails: %v", last)
	}
	return last
}

// Closes checks that the pool has closed n connections for the given reason. It waits for that if necessary.
func (s *Subject) Closes(reason peerpool.CloseReason, n uint64) {
	s.T.Helper()
	s.Await(fmt.Sprintf("%d closed for %q", n, reason), func(st peerpool.Stats) bool { return st.Closes[reason] == n })
}

// NewRequest returns a request whose context ends with the test, so that a request that hangs makes the test fail.
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

// Known returns the only identity that the pool knows.
func (s *Subject) Known() peerpool.Identity {
	s.T.Helper()
	peers := s.Stats().Peers
	if len(peers) != 1 {
		s.T.Fatalf("the pool knows %d identities, want 1", len(peers))
	}
	return peers[0].Identity
}

// Numbered returns a script that answers each request with the number of its connection and the number of the request on it,
// such as "2.1". extra is added to the head.
func Numbered(extra ...string) httptestutil.Script {
	return func(c *httptestutil.WireConn) {
		for seq := 1; c.ReadRequest() != nil; seq++ {
			c.Write(httptestutil.ResponseWith(200, fmt.Sprintf("%d.%d", c.Number(), seq), extra...))
		}
		c.WaitClosed()
	}
}

// WantNumbers sends a request for each of the numbers, and checks that the answer is that number.
func (s *Subject) WantNumbers(numbers ...string) {
	s.T.Helper()
	for _, want := range numbers {
		if got := s.Get("http://example.test"); got != want {
			s.T.Errorf("served as %s, want %s; closes %v", got, want, s.Stats().Closes)
		}
	}
}

// Reaping is how much too late the reaper may close a connection that no request asks for.
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

// ClosedNow does what Closes does in a bubble, without letting time pass.
func (s *Subject) ClosedNow(reason peerpool.CloseReason, n uint64) {
	s.T.Helper()
	synctest.Wait()
	if st := s.Stats(); st.Closes[reason] != n {
		s.T.Errorf("%d closed for %q, want %d; closes %v", st.Closes[reason], reason, n, st.Closes)
	}
}

// Together sends n requests of one peer, waits until all are under way, and then lets them end.
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

// Unrest sends requests that end in every possible way, from several callers.
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

// PeersAddUp checks that the statistics of all peers add up to the totals.
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
