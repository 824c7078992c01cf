package httptestutil

import (
	"fmt"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Exchange describes one request made through a [Recorder]. Origin, Conn and
// Seq come from the answer of an [Origin], and are zero if another server
// answered. The fields from GotConns on come from the client, through
// net/http/httptrace, and are zero if the client does not support it.
type Exchange struct {
	Method string
	URL    string // without a password
	Status int    // 0 if there was no answer
	Err    error  // why there was no answer

	Origin string // the origin's address
	Conn   int    // the connection's number at the origin, from 1
	Seq    int    // the request's number on that connection, from 1

	GotConns int           // connections that the request was given; more than 1 after a retry
	Reused   bool          // the last of these connections had carried another request
	WasIdle  bool          // the last of these connections had been idle
	IdleTime time.Duration // how long that connection had been idle
}

// String returns a description of the exchange on one line.
func (e Exchange) String() string {
	if e.Err != nil {
		return fmt.Sprintf("%s %s: %v", e.Method, e.URL, e.Err)
	}
	if e.Conn == 0 {
		return fmt.Sprintf("%s %s: %d, on an unknown connection", e.Method, e.URL, e.Status)
	}
	return fmt.Sprintf("%s %s: %d, request %d on connection %d of %s", e.Method, e.URL, e.Status, e.Seq, e.Conn, e.Origin)
}

// Recorder is a RoundTripper that wraps another RoundTripper and records on
// which connection each request travels. Its assertions use the numbers with
// which an [Origin] counts connections. If the client supports
// net/http/httptrace, the assertions also check that its trace agrees. A
// Recorder is safe for concurrent use. An assertion about the last exchange
// makes sense only if it is certain which exchange is the last.
type Recorder struct {
	base http.RoundTripper

	mu        sync.Mutex // guards exchanges
	exchanges []Exchange
}

// NewRecorder returns a Recorder that wraps base, the client under test.
func NewRecorder(base http.RoundTripper) *Recorder { return &Recorder{base: base} }

// RoundTrip sends the request through the wrapped RoundTripper. It records
// the request when the head of the answer has arrived, or when the request
// has failed.
func (r *Recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	e := Exchange{Method: req.Method, URL: req.URL.Redacted()}
	var mu sync.Mutex // guards what gotConn writes: a client may call it from anywhere
	gotConn := func(info httptrace.GotConnInfo) {
		mu.Lock()
		defer mu.Unlock()
		e.GotConns++
		e.Reused, e.WasIdle, e.IdleTime = info.Reused, info.WasIdle, info.IdleTime
	}
	trace := &httptrace.ClientTrace{GotConn: gotConn}
	resp, err := r.base.RoundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))

	mu.Lock()
	defer mu.Unlock()
	e.Err = err
	if err == nil {
		e.Status = resp.StatusCode
		e.Origin = resp.Header.Get(HeaderOrigin)
		// If the headers are missing or malformed, the fields stay zero.
		e.Conn, _ = strconv.Atoi(resp.Header.Get(HeaderConn))
		e.Seq, _ = strconv.Atoi(resp.Header.Get(HeaderSeq))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.exchanges = append(r.exchanges, e)
	return resp, err
}

// CloseIdleConnections calls the method of the wrapped RoundTripper, so that
// [net/http.Client.CloseIdleConnections] works through the Recorder.
func (r *Recorder) CloseIdleConnections() {
	if base, ok := r.base.(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
	}
}

// Exchanges returns the exchanges recorded so far, in the order in which the
// answers arrived.
func (r *Recorder) Exchanges() []Exchange {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.exchanges)
}

// WantReused fails the test unless the last request traveled on connection
// conn of its origin and was not the first request on that connection.
func (r *Recorder) WantReused(t testing.TB, conn int) {
	t.Helper()
	switch e, ok := r.last(t); {
	case !ok:
	case e.Conn != conn:
		t.Errorf("want a reuse of connection %d; got %v%s", conn, e, r.history())
	case e.Seq < 2:
		t.Errorf("want a reuse of connection %d, not its first request; got %v%s", conn, e, r.history())
	case e.GotConns > 0 && !e.Reused:
		t.Errorf("the client's trace calls a reused connection new: %v%s", e, r.history())
	}
}

// WantFresh fails the test unless the last request was the first on its
// connection.
func (r *Recorder) WantFresh(t testing.TB) {
	t.Helper()
	switch e, ok := r.last(t); {
	case !ok:
	case e.Seq != 1:
		t.Errorf("want a fresh connection; got %v%s", e, r.history())
	case e.GotConns > 0 && e.Reused:
		t.Errorf("the client's trace calls a fresh connection reused: %v%s", e, r.history())
	}
}

// WantConns fails the test unless the requests recorded so far used exactly n
// connections. An Origin must have answered all of them.
func (r *Recorder) WantConns(t testing.TB, n int) {
	t.Helper()
	type id struct {
		origin string
		conn   int
	}
	used := map[id]bool{}
	for _, e := range r.Exchanges() {
		if e.Conn == 0 {
			t.Errorf("want %d connections; got one request without: %v%s", n, e, r.history())
			return
		}
		used[id{e.Origin, e.Conn}] = true
	}
	if len(used) != n {
		t.Errorf("want %d connections used; got %d%s", n, len(used), r.history())
	}
}

// last returns the last exchange. If no origin has answered it, last fails the
// test and returns false.
func (r *Recorder) last(t testing.TB) (Exchange, bool) {
	t.Helper()
	all := r.Exchanges()
	if len(all) == 0 {
		t.Errorf("no request has been made")
		return Exchange{}, false
	}
	e := all[len(all)-1]
	if e.Conn == 0 {
		t.Errorf("the last request was not answered by an origin: %v", e)
		return e, false
	}
	return e, true
}

// history returns a list of the last exchanges for the text of a failure.
func (r *Recorder) history() string {
	const shown = 10
	all := r.Exchanges()
	var b strings.Builder
	for i := max(0, len(all)-shown); i < len(all); i++ {
		fmt.Fprintf(&b, "\n\t%d. %v", i+1, all[i])
	}
	return b.String()
}
