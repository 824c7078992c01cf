package otelpool_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"testing"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

func TestAConnectionWithSeveralRequestsIsActiveOnce(t *testing.T) {
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	release := make(chan struct{})
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{
		TLS: &tls.Config{}, Protocols: protocols,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusOK)
			http.NewResponseController(w).Flush()
			if r.URL.Path == "/held" {
				<-release
			}
		}),
	})
	l := watch(t, &peerpool.Transport{TLSClientConfig: origin.ClientTLS(), ForceAttemptHTTP2: true})
	open := func(active, idle int64) {
		t.Helper()
		l.wantPoints("http.client.open_connections", map[string]int64{
			"http.connection.state=active network.protocol.version=2": active, "http.connection.state=idle network.protocol.version=2": idle,
		})
	}
	fetch(t, l, t.Context(), origin.URL()) // from here on the connection is known to be shared
	open(0, 1)
	var held []*http.Response
	for range 3 {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, origin.URL()+"/held", nil)
		resp, err := l.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, resp)
	}
	open(1, 0)
	l.wantPoints("http.client.active_requests", map[string]int64{"http.request.method=GET": 3})
	close(release)
	for _, resp := range held {
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	open(0, 1)
	l.CloseIdleConnections()
	open(0, 0)
	if origin.Conns() != 1 {
		t.Errorf("%d connections", origin.Conns())
	}
}
