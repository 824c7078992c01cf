package peerpool

import (
	"context"
	"io"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// TestTheOutcomeOfARequestIsToldWithItsEnd tries every way in which a request can end.
func TestTheOutcomeOfARequestIsToldWithItsEnd(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
	read := func(resp *http.Response, _ context.CancelFunc) { io.Copy(io.Discard, resp.Body) }
	for name, c := range map[string]struct {
		answer   string
		close    bool
		timeout  time.Duration
		do       func(*http.Response, context.CancelFunc)
		outcome  RequestOutcome
		kind     ErrorType
		headless bool
	}{
		"answered":          {answer: head + "1234567890", do: read, outcome: OutcomeResponse},
		"closed by us":      {answer: head + "12345", do: func(*http.Response, context.CancelFunc) {}, outcome: OutcomeResponse},
		"cut off":           {answer: head + "12345", close: true, do: read, outcome: OutcomeTruncated},
		"malformed later":   {answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", do: read, outcome: OutcomeTruncated},
		"out of time":       {answer: head + "12345", timeout: time.Second, do: read, outcome: OutcomeTruncated},
		"canceled later":    {answer: head + "12345", do: func(resp *http.Response, cancel context.CancelFunc) { cancel(); read(resp, nil) }, outcome: OutcomeCanceled},
		"no answer":         {close: true, outcome: OutcomeError, kind: errorEnded, headless: true},
		"malformed":         {answer: "nonsense\r\n\r\n", outcome: OutcomeError, kind: errorResponse, headless: true},
		"no answer by then": {timeout: time.Second, outcome: OutcomeError, kind: errorTimeout, headless: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ln := httptestutil.NewListener(0)
				wire := httptestutil.NewWireWith(t, httptestutil.WireOptions{Listener: ln}, func(w *httptestutil.WireConn) {
					w.ReadRequest()
					time.Sleep(time.Millisecond) // so that a head has a time
					w.Write(c.answer)
					if !c.close {
						w.WaitClosed()
					}
				})
				ended := make(chan RequestDone, 1)
				tr := peerTransport(t, &Transport{
					DialContext: ln.Dial,
					Observer:    &Observer{RequestDone: func(_ context.Context, e RequestDone) { ended <- e }},
				})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if c.timeout > 0 {
					ctx, cancel = context.WithTimeout(ctx, c.timeout)
					defer cancel()
				}
				resp, err := tr.RoundTrip(peerRequest(t, wire.URL(), nil).WithContext(ctx))
				if err == nil {
					c.do(resp, cancel)
					resp.Body.Close()
				}
				e := peerReceive(t, ended, "the end of the request")
				if e.Outcome() != c.outcome || e.ErrorType != c.kind || (e.Head == 0) != c.headless || e.Head > e.Duration {
					t.Errorf("%s with the error type %q and a head after %v of %v, want %s with %q: %+v",
						e.Outcome(), e.ErrorType, e.Head, e.Duration, c.outcome, c.kind, e)
				}
				if !slices.Contains(RequestOutcomes(), e.Outcome()) || e.ErrorType != "" && !slices.Contains(ErrorTypes(), e.ErrorType) {
					t.Errorf("%s and %q are not all listed", e.Outcome(), e.ErrorType)
				}
			})
		})
	}
}

func TestARequestThatItsCallerCancelsIsNobodysError(t *testing.T) {
	ended := make(chan RequestDone, 1)
	wire := httptestutil.NewWire(t, func(w *httptestutil.WireConn) { w.ReadRequest(); w.WaitClosed() })
	tr := peerTransport(t, &Transport{Observer: &Observer{RequestDone: func(_ context.Context, e RequestDone) { ended <- e }}})
	ctx, cancel := context.WithCancel(t.Context())
	got := peerAsync(tr, peerRequest(t, wire.URL(), nil).WithContext(ctx))
	wire.WaitRequests(1)
	cancel()
	peerReceive(t, got, "the error")
	if e := peerReceive(t, ended, "the end of the request"); e.Outcome() != OutcomeCanceled || e.ErrorType != "" {
		t.Errorf("%s with the error type %q", e.Outcome(), e.ErrorType)
	}
}
