package peerpool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/peerpool/peerpool/internal/exchange"
	"github.com/peerpool/peerpool/internal/http1"
	"github.com/peerpool/peerpool/pool"
)

// ways are how an attempt may have ended: with a status, or with an error.
var ways = []struct {
	name    string
	status  int32
	err     error
	network bool // an error of the connection, and nobody's decision
	body    bool // the request's own body failed
}{
	{name: "200", status: 200},
	{name: "408", status: 408},
	{name: "421", status: 421},
	{name: "425", status: 425},
	{name: "429", status: 429},
	{name: "503", status: 503},
	{name: "EOF", err: io.EOF, network: true},
	{name: "reset", err: &url.Error{Err: syscall.ECONNRESET}, network: true},
	{name: "broken pipe", err: syscall.EPIPE, network: true},
	{name: "aborted", err: syscall.ECONNABORTED, network: true},
	{name: "header timeout", err: http1.ErrHeaderTimeout},
	{name: "deadline", err: fmt.Errorf("read: %w", os.ErrDeadlineExceeded)},
	{name: "context deadline", err: context.DeadlineExceeded},
	{name: "the body", err: io.ErrUnexpectedEOF, body: true},
	{name: "the body, by a reset", err: syscall.ECONNRESET, body: true},
}

// permitted states the rules independently of decide: as what must hold for a retry, one after the other.
func permitted(network bool, o outcome, r replay, attempt int) verdict {
	const attempts = 3
	var unsent, stale, misdirected = true, true, true

	// A request is sent three times at most, and only if its body can be had again.
	if !r.body || attempt >= attempts {
		return giveUp
	}
	// A response is returned, whatever it says. 421 alone says that the connection was the wrong one, which
	// can only be so if others had used it before, and once is enough to find out.
	unsent = unsent && o.err != nil
	stale = stale && o.err != nil
	misdirected = misdirected && o.Status == 421 && o.reused && attempt == 1
	// A request is not sent again if the caller or a time limit has ended it, if it cannot be written, or if the
	// server has begun to answer.
	ended := !network || o.canceled || o.Unfit || o.Started
	unsent = unsent && !ended && !o.Wrote
	// What the server may have acted upon is sent again only if that does no harm, and only after a
	// connection that the server may have closed before it saw any of it.
	stale = stale && !ended && o.Wrote && o.reused && r.idempotent

	switch {
	case misdirected:
		return retryMisdirected
	case unsent:
		return retryUnsent
	case stale:
		return retryStale
	}
	return giveUp
}

func TestARequestIsSentAgainExactlyWhenTheRulesPermitIt(t *testing.T) {
	bools := []bool{false, true}
	seen := map[verdict]int{}
	for _, way := range ways {
		for bits := range 1 << 7 {
			bit := func(n int) bool { return bools[bits>>n&1] }
			o := outcome{
				Outcome: exchange.Outcome{
					Status: way.status, Unfit: bit(1) && way.err != nil, BodyFailed: way.body,
					Wrote: bit(3), Started: bit(4) || way.status != 0,
				},
				err: way.err, canceled: bit(0) && way.err != nil, reused: bit(2),
			}
			r := replay{idempotent: bit(5), body: bit(6)}
			for attempt := 1; attempt <= maxAttempts+1; attempt++ {
				got, want := decide(o, r, attempt), permitted(way.network, o, r, attempt)
				if got != want {
					t.Errorf("%s, attempt %d, %+v, %+v: %q, want %q", way.name, attempt, o, r, got, want)
				}
				seen[got]++
			}
		}
	}
	for _, v := range []verdict{giveUp, retryUnsent, retryStale, retryMisdirected} {
		if seen[v] == 0 {
			t.Errorf("no case led to %q", v)
		}
	}
}

func TestARequestIsIdempotentByItsMethodOrItsKey(t *testing.T) {
	for method, want := range map[string]bool{
		"": true, "GET": true, "HEAD": true, "OPTIONS": true, "TRACE": true, "PUT": true, "DELETE": true,
		"POST": false, "PATCH": false, "CONNECT": false, "get": false, "PROPFIND": false, "PURGE": false,
	} {
		req := &http.Request{Method: method, Header: http.Header{}}
		if got := idempotent(req); got != want {
			t.Errorf("%q: %v, want %v", method, got, want)
		}
	}
	for name, want := range map[string]bool{"Idempotency-Key": true, "X-Idempotency-Key": true, "X-Key": false} {
		for _, values := range [][]string{{"one"}, {}} {
			req := &http.Request{Method: "POST", Header: http.Header{name: values}}
			if got := idempotent(req); got != want {
				t.Errorf("POST with %s %q: %v, want %v", name, values, got, want)
			}
		}
	}
	if idempotent(&http.Request{Method: "POST", Header: http.Header{"Idempotency-Key": nil}}) {
		t.Error("a key that has been taken out counts")
	}
}

func TestABodyCanBeReplayedIfItIsUntouchedOrCanBeHadAgain(t *testing.T) {
	reader := io.NopCloser(strings.NewReader("body"))
	again := func() (io.ReadCloser, error) { return reader, nil }
	for name, c := range map[string]struct {
		body    io.ReadCloser
		get     func() (io.ReadCloser, error)
		touched bool
		want    bool
	}{
		"none":                  {nil, nil, false, true},
		"none, touched":         {nil, nil, true, true},
		"NoBody":                {http.NoBody, nil, true, true},
		"untouched":             {reader, nil, false, true},
		"touched":               {reader, nil, true, false},
		"touched, with GetBody": {reader, again, true, true},
	} {
		if got := replayOf(&http.Request{Body: c.body, GetBody: c.get}, c.touched).body; got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestRewindTakesAnotherBodyOnlyWhenTheFirstWasTouched(t *testing.T) {
	first, second := io.NopCloser(strings.NewReader("1")), io.NopCloser(strings.NewReader("2"))
	asked := 0
	req := &http.Request{Method: "PUT", Body: first, GetBody: func() (io.ReadCloser, error) { asked++; return second, nil }}

	if got, err := rewind(req, false); got != req || err != nil || asked != 0 {
		t.Errorf("untouched: %p, %v, GetBody called %d times", got, err, asked)
	}
	got, err := rewind(req, true)
	if err != nil || got == req || got.Body != second || got.Method != "PUT" || asked != 1 {
		t.Errorf("touched: %+v, %v, GetBody called %d times", got, err, asked)
	}
	if req.Body != first {
		t.Error("the caller's request was changed")
	}
	failed := errors.New("no body any more")
	req.GetBody = func() (io.ReadCloser, error) { return nil, failed }
	if _, err := rewind(req, true); err != failed {
		t.Errorf("a GetBody that fails: %v", err)
	}
	req.GetBody = func() (io.ReadCloser, error) { return nil, nil }
	if _, err := rewind(req, true); err != errNilBody {
		t.Errorf("a GetBody that returns nothing: %v", err)
	}
	req.GetBody = func() (io.ReadCloser, error) { return http.NoBody, nil }
	if got, err := rewind(req, true); err != nil || got.Body == nil || got.Body == http.NoBody {
		t.Errorf("a GetBody that returns NoBody: %v, %v: it must count as an empty body, not as none", got.Body, err)
	}
	for _, body := range []io.ReadCloser{nil, http.NoBody} {
		req := &http.Request{Body: body}
		if got, err := rewind(req, true); got != req || err != nil {
			t.Errorf("without a body: %p, %v", got, err)
		}
	}
}

func TestARetryDialsUnlessTheConnectionsTellByThemselvesThatTheyAreGone(t *testing.T) {
	for _, c := range []struct {
		v       verdict
		number  int
		noticed bool
		fresh   bool
	}{
		{retryStale, 2, false, true},
		{retryUnsent, 2, false, true},
		{retryStale, 2, true, false},
		{retryUnsent, 2, true, false},
		{retryStale, maxAttempts, true, true}, // the last one takes no risk
		{retryLost, 2, true, true},            // a server that is silent once may be silent on other connections too
		{retryMisdirected, 2, true, true},
		{retryRefused, 2, true, false},
		{retryRefused, maxAttempts, true, true},
	} {
		if got := c.v.fresh(&outcome{}, c.number, c.noticed); got != c.fresh {
			t.Errorf("%s, attempt %d, noticed %v: fresh is %v", c.v, c.number, c.noticed, got)
		}
	}
}

func TestAConnectionThatRetiredBeforeItsUseCostsATry(t *testing.T) {
	retired := outcome{err: pool.ErrRetired, unleased: true, retired: true}
	refused := outcome{err: syscall.ECONNREFUSED, unleased: true}
	r := replay{body: true}
	for try := 1; try <= maxAttempts+1; try++ {
		want := leaseAgain
		if try >= maxAttempts {
			want = giveUp
		}
		if got := decide(retired, r, try); got != want {
			t.Errorf("try %d: %q, want %q", try, got, want)
		}
		if got := decide(refused, r, try); got != giveUp {
			t.Errorf("try %d, with an address that does not answer: %q", try, got)
		}
		if got := leaseAgain.fresh(&retired, try, true); got != lastTry(try) || got != (try >= maxAttempts) {
			t.Errorf("try %d must be made on a new connection: %v", try, got)
		}
	}
}
