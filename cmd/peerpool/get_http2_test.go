package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// http2Origin starts an origin that speaks HTTP/2 over TLS, with a certificate that nobody knows.
func http2Origin(t *testing.T, h http.Handler) *httptestutil.Origin {
	t.Helper()
	both := new(http.Protocols)
	both.SetHTTP1(true)
	both.SetHTTP2(true)
	return httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t), Protocols: both, Handler: h})
}

func mustParse(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func getRequest(ctx context.Context, t *testing.T, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func TestGetSpeaksHTTP2AlsoWithAnyCertificate(t *testing.T) {
	httptestutil.CheckLeaks(t)
	o := http2Origin(t, nil)
	r := reported(t.Context(), t, exitOK, "-k", "-n", "200", "-c", "8", o.URL())
	use := r.Protocols["HTTP/2"]
	if use.Responses != 200 || use.Connections != r.Connections.Opened || use.MostAtOnce < 1 || len(r.Protocols) != 1 {
		t.Errorf("protocols %+v over %d connections, want 200 responses over HTTP/2", r.Protocols, r.Connections.Opened)
	}
	if r.TLS.Handshakes != r.Connections.Opened || r.TLS.Versions["TLS 1.3"] != r.TLS.Handshakes || r.TLS.Failed != 0 {
		t.Errorf("TLS %+v, want a handshake of TLS 1.3 for each of %d connections", r.TLS, r.Connections.Opened)
	}
	wantIn(t, r.text(), "HTTP/2: 200 responses over ", "handshake", "TLS 1.3 ")
}

func TestGetNamesTheProtocolOfAServerWithoutHTTP2(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
	r := reported(t.Context(), t, exitOK, "-k", "-n", "3", o.URL())
	if use := r.Protocols["HTTP/1.1"]; use != (protocolUse{Responses: 3, Connections: 1, MostAtOnce: 1}) {
		t.Errorf("protocols %+v, want 3 responses over one connection with HTTP/1.1", r.Protocols)
	}
	got := command(t.Context(), "get", "-k", o.URL())
	wantIn(t, got.out, ", HTTP/1.1, TLS 1.3\n", "protocol     HTTP/1.1: 1 response over 1 connection\n",
		"TLS          1 handshake, 0 resumed, 0 failed; TLS 1.3 1\n")
}

func TestGetCountsResumedHandshakes(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{
		CA: httptestutil.NewCA(t),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "close")
		}),
	})
	r := reported(t.Context(), t, exitOK, "-k", "-n", "4", o.URL())
	if r.TLS.Handshakes != 4 || r.TLS.Resumed != 3 {
		t.Errorf("TLS %+v, want 4 handshakes, 3 of them resumed", r.TLS)
	}
}

func TestGetCountsFailedHandshakes(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{TLS: &tls.Config{MinVersion: tls.VersionTLS13}})
	if r := reported(t.Context(), t, exitFailed, o.URL()); r.TLS.Failed != 1 || r.TLS.Handshakes != 0 {
		t.Errorf("TLS %+v, want one failed handshake", r.TLS)
	}
}

func TestWithoutTLSTheReportSaysNothingOfIt(t *testing.T) {
	got := command(t.Context(), "get", answering(t, "").URL())
	if strings.Contains(got.out, "TLS") {
		t.Errorf("there is TLS in:\n%s", got.out)
	}
}

func TestGetServesThePageWhileItRuns(t *testing.T) {
	httptestutil.CheckLeaks(t)
	arrived, open := make(chan struct{}), make(chan struct{})
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Handler: http.HandlerFunc(
		func(http.ResponseWriter, *http.Request) {
			close(arrived)
			<-open
		})})
	lines, ended := running(t, "get", "-json", "-listen", "127.0.0.1:0", o.URL())
	at := strings.TrimPrefix(saying(t, lines, "The pool is at "), "The pool is at ")
	saying(t, lines, "Its metrics are at ")
	<-arrived
	wantIn(t, page(t, at+"?format=json"), `"active": 1`, o.Addr())
	close(open)
	for range lines {
		continue
	}
	got := <-ended
	var r getReport
	if err := json.Unmarshal([]byte(got.out), &r); err != nil || got.code != exitOK {
		t.Fatalf("exit code %d, %v", got.code, err)
	}
	if r.Answered != 1 || r.Identities[0].Requests != 1 {
		t.Errorf("with a page the report says %+v", r)
	}
}

func TestAGetWhosePageCannotBeServedSendsNothing(t *testing.T) {
	o := answering(t, "")
	got := command(t.Context(), "get", "-listen", "192.0.2.1:1", o.URL())
	wantCode(t, got, exitFailed)
	wantIn(t, got.err, "the page cannot be served")
	if o.Requests() != 0 {
		t.Errorf("%d requests", o.Requests())
	}
}
