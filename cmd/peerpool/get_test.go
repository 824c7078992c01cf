package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// reported runs "get -json" and returns its report.
func reported(ctx context.Context, t *testing.T, code int, args ...string) getReport {
	t.Helper()
	got := command(ctx, append([]string{"get", "-json"}, args...)...)
	wantCode(t, got, code)
	var r getReport
	if err := json.Unmarshal([]byte(got.out), &r); err != nil {
		t.Fatalf("%v in:\n%s", err, got.out)
	}
	return r
}

// answering starts an origin that answers everything with body.
func answering(t *testing.T, body string) *httptestutil.Origin {
	t.Helper()
	return httptestutil.NewOrigin(t, httptestutil.OriginOptions{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, body) }),
	})
}

func TestGetReportsOneRequestAndItsStory(t *testing.T) {
	httptestutil.CheckLeaks(t)
	o := answering(t, "hello")
	got := command(t.Context(), "get", o.URL())
	wantCode(t, got, exitOK)
	wantIn(t, got.out,
		"dialed "+o.URL()+" in ", "a new connection (cold) after ", "status 200 after ", "; connection kept",
		"1 answered, 0 failed, in ", "200 1\n", "p50 ", "bytes        5\n",
		"1 opened, 1 idle, 0 active", "cold 1\n", "retries      none\n", o.URL())
	if got.err != "" {
		t.Errorf("stderr: %q", got.err)
	}
}

func TestGetSpreadsRequestsEvenlyOverItsURLs(t *testing.T) {
	httptestutil.CheckLeaks(t)
	a, b := answering(t, "aa"), answering(t, "bbb")
	r := reported(t.Context(), t, exitOK, a.URL()+"/x", "-n", "7", b.URL()+"/y")
	if r.Requests != 7 || r.Answered != 7 || r.Status[200] != 7 || r.Bytes != 4*2+3*3 {
		t.Errorf("report: %+v", r)
	}
	if a.Requests() != 4 || b.Requests() != 3 {
		t.Errorf("the origins saw %d and %d requests, want 4 and 3", a.Requests(), b.Requests())
	}
	want := []identityReport{
		{a.URL(), identityUse{Requests: 4, Connections: 1, Hits: 3}},
		{b.URL(), identityUse{Requests: 3, Connections: 1, Hits: 2}},
	}
	if fmt.Sprint(r.Identities) != fmt.Sprint(want) {
		t.Errorf("identities %v, want %v", r.Identities, want)
	}
	if r.Connections.Opened != 2 || r.Connections.Idle != 2 || r.Misses["cold"] != 2 || len(r.Story) > 0 {
		t.Errorf("report: %+v", r)
	}
	l := r.Latency
	if !(0 < l.P50 && l.P50 <= l.P90 && l.P90 <= l.P99 && l.P99 <= l.Max && l.Max <= r.Seconds) {
		t.Errorf("latencies out of order: %+v, of %v s in all", l, r.Seconds)
	}
}

func TestGetAsksEachURLOnceByDefault(t *testing.T) {
	o := answering(t, "")
	if r := reported(t.Context(), t, exitOK, o.URL()+"/1", o.URL()+"/2", o.URL()+"/3"); r.Answered != 3 {
		t.Errorf("%d requests answered, want 3", r.Answered)
	}
}

func TestGetSendsFromSeveralCallersAtOnce(t *testing.T) {
	httptestutil.CheckLeaks(t)
	const callers = 5
	arrived, open := make(chan struct{}, callers), make(chan struct{})
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Handler: http.HandlerFunc(
		func(_ http.ResponseWriter, r *http.Request) {
			arrived <- struct{}{}
			select {
			case <-open:
			case <-r.Context().Done():
			}
		})})
	go func() {
		defer close(open)
		for range callers { // nobody is answered before all have asked
			<-arrived
		}
	}()
	r := reported(t.Context(), t, exitOK, "-c", "5", "-n", "5", "-timeout", "10s", o.URL())
	if r.Answered != callers || r.Connections.Opened != callers {
		t.Errorf("%d answered over %d connections, want %d over as many", r.Answered, r.Connections.Opened, callers)
	}
}

func TestGetSendsHeaderFieldsAndHost(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	reported(t.Context(), t, exitOK, "-H", "X-One: a: b", "-H", "x-one:c", "-H", "host: example.test", o.URL())
	seen := o.Seen()[0]
	if got := seen.Header["X-One"]; fmt.Sprint(got) != "[a: b c]" {
		t.Errorf("X-One is %q", got)
	}
	if seen.Host != "example.test" {
		t.Errorf("Host is %q", seen.Host)
	}
}

func TestGetTrustsAnUnknownCertificateOnlyWhenTold(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
	r := reported(t.Context(), t, exitFailed, o.URL())
	if r.Failed != 1 || r.Identities[0].DialFailures != 1 || !strings.Contains(fmt.Sprint(r.Errors), "certificate") {
		t.Errorf("without -k: %+v", r)
	}
	r = reported(t.Context(), t, exitOK, "-k", o.URL())
	if r.Answered != 1 || !strings.Contains(r.Identities[0].Identity, "insecure") {
		t.Errorf("with -k: %+v", r)
	}
}

func TestGetReportsErrorsByTextAndFails(t *testing.T) {
	o := answering(t, "")
	o.Stop()
	got := command(t.Context(), "get", "-n", "3", o.URL())
	wantCode(t, got, exitFailed)
	wantIn(t, got.out, "0 answered, 3 failed", "latency      none", "What failed:\n  3  dial tcp "+o.Addr())
}

func TestGetGivesASlowRequestUp(t *testing.T) {
	httptestutil.CheckLeaks(t)
	w := httptestutil.NewWire(t, httptestutil.ReplyThenStall("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"))
	r := givenUp(t, hopBody, w.URL())
	if r.Failed != 1 || r.Errors["context deadline exceeded"] != 1 || len(r.Status) != 0 {
		t.Errorf("report: %+v", r)
	}
	if r.Connections.Closed["canceled"]+r.Connections.Closed["timeout"] != 1 {
		t.Errorf("closed: %v", r.Connections.Closed)
	}
}

func TestGetCountsAResponseThatBreaksOffAsFailed(t *testing.T) {
	w := httptestutil.NewWire(t, httptestutil.ReplyThenClose("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"))
	r := reported(t.Context(), t, exitFailed, w.URL())
	if r.Failed != 1 || r.Answered != 0 || len(r.Status) != 0 || r.Bytes != 0 || r.Errors["unexpected EOF"] != 1 {
		t.Errorf("report: %+v", r)
	}
}

func TestGetReportsWhyConnectionsWereClosed(t *testing.T) {
	w := httptestutil.NewWire(t, httptestutil.Replies(
		httptestutil.ResponseWith(http.StatusNotFound, "gone", "Connection: close")))
	r := reported(t.Context(), t, exitOK, "-n", "4", w.URL())
	if r.Connections.Closed["connection_close"] != 4 || r.Connections.Opened != 4 || r.Status[404] != 4 {
		t.Errorf("report: %+v", r)
	}
}

func TestGetReportsARetryAndTellsItsStory(t *testing.T) {
	// The server reads the second request of its first connection and closes without an answer.
	response := httptestutil.Response("ok")
	w := httptestutil.NewWire(t, httptestutil.PerConn(func(c *httptestutil.WireConn) {
		c.ReadRequest()
		c.Write(response)
		c.ReadRequest()
		c.Close()
	}, httptestutil.Replies(response)))
	r := reported(t.Context(), t, exitOK, "-n", "2", w.URL())
	if r.Retries != (retryReport{Stale: 1, Saved: 1}) {
		t.Errorf("retries: %+v", r.Retries)
	}
	if use := r.Identities[0].identityUse; use != (identityUse{Requests: 2, Connections: 2, Hits: 1}) {
		t.Errorf("identity: %+v", use)
	}
	wantIn(t, r.text(), "stale 1; 1 saved, 0 failed")
}

func TestGetClosesItsConnectionsWhenItIsDone(t *testing.T) {
	w := httptestutil.NewWire(t, httptestutil.Replies(httptestutil.Response("ok")))
	reported(t.Context(), t, exitOK, w.URL())
	if err := w.WaitClientClosed(1); err != nil {
		t.Error(err)
	}
}

func TestGetFollowsNoRedirect(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{
		Handler: http.RedirectHandler("/elsewhere", http.StatusFound),
	})
	if r := reported(t.Context(), t, exitOK, o.URL()); r.Status[302] != 1 || o.Requests() != 1 {
		t.Errorf("status %v after %d requests", r.Status, o.Requests())
	}
}

func TestGetDoesNotWaitForTheEndOfAnUpgradedConnection(t *testing.T) {
	w := httptestutil.NewWire(t, httptestutil.ReplyThenStall(
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nnot a body"))
	r := reported(t.Context(), t, exitOK, "-H", "Connection: Upgrade", "-H", "Upgrade: x", w.URL())
	if r.Status[101] != 1 || r.Bytes != 0 {
		t.Errorf("report: %+v", r)
	}
}

func TestAnInterruptedGetReportsWhatWasDone(t *testing.T) {
	httptestutil.CheckLeaks(t)
	ctx, interrupt := context.WithCancel(t.Context())
	// Two requests are answered, the third is under way when the interruption comes.
	w := httptestutil.NewWire(t, func(c *httptestutil.WireConn) {
		for range 2 {
			c.ReadRequest()
			c.Write(httptestutil.Response("ok"))
		}
		c.ReadRequest()
		interrupt()
		_ = c.WaitClosed()
	})
	got := command(ctx, "get", "-n", "10000000", w.URL())
	wantCode(t, got, exitInterrupted)
	wantIn(t, got.out, "Interrupted. What was done so far:",
		"2 answered, 0 failed, 1 given up, 9999997 not sent", "canceled 1")
}

func TestAnInterruptedGetReportsAsJSONToo(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	r := reported(ctx, t, exitInterrupted, "-n", "5", "http://127.0.0.1:1/")
	if !r.Interrupted || r.Requests != 5 || r.Answered+r.Failed+r.Unfinished != 0 {
		t.Errorf("report: %+v", r)
	}
}
