//go:build race

package peerpool_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/peerpool/peerpool"
)

// TestTheRaceDetectorKnowsTheOrderOfRequestAndResponse has a handler and its client change the same variable in turn. Only the
// sockets order the two, and the race detector knows about that, as with net/http. It is the race detector that fails the test.
func TestTheRaceDetectorKnowsTheOrderOfRequestAndResponse(t *testing.T) {
	for _, test := range []struct {
		name       string
		tls, http2 bool
	}{{"HTTP/1.1", false, false}, {"HTTP/1.1 over TLS", true, false}, {"HTTP/2", true, true}} {
		t.Run(test.name, func(t *testing.T) {
			turns := 0
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				turns++
				if r.URL.Path == "/large" {
					w.Write(make([]byte, 1<<20))
				}
			}))
			server.EnableHTTP2 = test.http2
			tr := &peerpool.Transport{ForceAttemptHTTP2: test.http2}
			if test.tls {
				server.StartTLS()
				tr.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
			} else {
				server.Start()
			}
			defer server.Close()
			defer tr.CloseIdleConnections()
			for _, path := range []string{"/", "/large", "/", "/", "/large", "/"} {
				resp, err := (&http.Client{Transport: tr}).Get(server.URL + path)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, resp.Body); err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				turns++
			}
			if turns != 12 {
				t.Error(turns)
			}
		})
	}
}
