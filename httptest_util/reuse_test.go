package httptestutil_test

import (
	"net/http"
	"net/http/httptrace"
	"strconv"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

func TestARecorderTellsReusedFromFresh(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	client := newClient(t, nil)
	rec := httptestutil.NewRecorder(client.Transport)
	client.Transport = rec

	getIdle(t, client, o.URL())
	rec.WantFresh(t)
	wantFailure(t, failures(t, func(tb testing.TB) { rec.WantReused(tb, 1) }), "not its first request")

	getIdle(t, client, o.URL())
	rec.WantReused(t, 1)
	rec.WantConns(t, 1)
	wantFailure(t, failures(t, rec.WantFresh), "want a fresh connection")
	wantFailure(t, failures(t, func(tb testing.TB) { rec.WantReused(tb, 2) }), "reuse of connection 2")

	client.CloseIdleConnections()
	getIdle(t, client, o.URL())
	rec.WantFresh(t)
	rec.WantConns(t, 2)
	wantFailure(t, failures(t, func(tb testing.TB) { rec.WantConns(tb, 1) }), "want 1 connections used; got 2")
}

func TestConnectionsOfTwoOriginsAreDifferentOnes(t *testing.T) {
	client := newClient(t, nil)
	rec := httptestutil.NewRecorder(client.Transport)
	client.Transport = rec
	for range 2 {
		getIdle(t, client, httptestutil.NewOrigin(t, httptestutil.OriginOptions{}).URL())
	}
	rec.WantConns(t, 2)
}

func TestARecorderKeepsTheCallersTraceAndWhatItSays(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	client := newClient(t, nil)
	rec := httptestutil.NewRecorder(client.Transport)
	client.Transport = rec
	getIdle(t, client, o.URL()) // uses a trace of its own
	getIdle(t, client, o.URL())
	all := rec.Exchanges()
	wantEqual(t, "exchanges", len(all), 2)
	wantEqual(t, "status", all[1].Status, 200)
	wantEqual(t, "connections got", all[1].GotConns, 1)
	wantEqual(t, "first reused", all[0].Reused, false)
	wantEqual(t, "second reused", all[1].Reused, true)
	wantEqual(t, "second was idle", all[1].WasIdle, true)
}

func TestAFailedRequestIsRecordedWithoutItsPassword(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	o.Stop()
	client := newClient(t, nil)
	rec := httptestutil.NewRecorder(client.Transport)
	client.Transport = rec
	_, _, err := tryGet(t, client, "http://user:secret@"+o.Addr())
	if err == nil {
		t.Fatal("the request succeeded")
	}
	e := rec.Exchanges()[0]
	if e.Err == nil {
		t.Error("the error is not recorded")
	}
	wantEqual(t, "URL", e.URL, "http://user:xxxxx@"+o.Addr())
	for _, want := range []func(testing.TB){
		rec.WantFresh,
		func(tb testing.TB) { rec.WantReused(tb, 1) },
		func(tb testing.TB) { rec.WantConns(tb, 1) },
	} {
		wantFailure(t, failures(t, want), "refused")
	}
}

func TestAnAssertionWithoutARequestFails(t *testing.T) {
	rec := httptestutil.NewRecorder(http.DefaultTransport)
	wantFailure(t, failures(t, rec.WantFresh), "no request")
}

// A liar answers for an origin and tells the opposite in its trace.
type liar struct{ seq int }

func (l liar) RoundTrip(req *http.Request) (*http.Response, error) {
	trace := httptrace.ContextClientTrace(req.Context())
	trace.GotConn(httptrace.GotConnInfo{Reused: l.seq == 1})
	header := http.Header{}
	header.Set(httptestutil.HeaderConn, "1")
	header.Set(httptestutil.HeaderSeq, strconv.Itoa(l.seq))
	return &http.Response{StatusCode: 200, Header: header, Body: http.NoBody, Request: req}, nil
}

func TestATraceThatContradictsTheOriginFails(t *testing.T) {
	for seq, want := range map[int]func(*httptestutil.Recorder) func(testing.TB){
		1: func(rec *httptestutil.Recorder) func(testing.TB) { return rec.WantFresh },
		2: func(rec *httptestutil.Recorder) func(testing.TB) {
			return func(tb testing.TB) { rec.WantReused(tb, 1) }
		},
	} {
		rec := httptestutil.NewRecorder(liar{seq})
		get(t, &http.Client{Transport: rec}, "http://example.test/")
		wantFailure(t, failures(t, want(rec)), "the client's trace calls")
	}
}
