// The settings of GODEBUG that this test is built with.
//
//go:debug http2client=0

package godebug_test

import (
	"crypto/tls"
	"net/http"
	"testing"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// versions returns a set of HTTP versions.
func versions(set ...func(*http.Protocols, bool)) *http.Protocols {
	p := new(http.Protocols)
	for _, f := range set {
		f(p, true)
	}
	return p
}

// spoken returns the protocol of the response to a GET, or the error.
func spoken(t *testing.T, rt http.RoundTripper, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return err.Error()
	}
	httptestutil.ReadSeen(t, resp)
	return resp.Proto
}

// both returns what net/http's Transport speaks, and ours, with the same configuration, which is made for each.
func both(t *testing.T, url string, config func() *http.Transport) (theirs, ours string) {
	t.Helper()
	std, c := config(), config()
	defer std.CloseIdleConnections()
	tr := &peerpool.Transport{TLSClientConfig: c.TLSClientConfig, ForceAttemptHTTP2: c.ForceAttemptHTTP2, Protocols: c.Protocols}
	defer tr.CloseIdleConnections()
	return spoken(t, std, url), spoken(t, tr, url)
}

// configs are ways to ask for HTTP/2. They must not be cloned: net/http prepares a Transport for that once.
var configs = map[string]func(*tls.Config) *http.Transport{
	"forced": func(cfg *tls.Config) *http.Transport {
		return &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true}
	},
	"both": func(cfg *tls.Config) *http.Transport {
		return &http.Transport{TLSClientConfig: cfg, Protocols: versions((*http.Protocols).SetHTTP1, (*http.Protocols).SetHTTP2)}
	},
	"HTTP/2 alone": func(cfg *tls.Config) *http.Transport {
		return &http.Transport{TLSClientConfig: cfg, Protocols: versions((*http.Protocols).SetHTTP2)}
	},
}

func wantAsNetHTTP(t *testing.T, want string) {
	t.Helper()
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{
		CA: httptestutil.NewCA(t), Protocols: versions((*http.Protocols).SetHTTP1, (*http.Protocols).SetHTTP2),
	})
	for name, config := range configs {
		theirs, ours := both(t, o.URL(), func() *http.Transport { return config(o.ClientTLS()) })
		if ours != theirs || ours != want {
			t.Errorf("%s: %s, with net/http %s, want %s", name, ours, theirs, want)
		}
	}
}

func TestALineInTheSourceTurnsHTTP2Off(t *testing.T) { wantAsNetHTTP(t, "HTTP/1.1") }

func TestTheEnvironmentGoesBeforeALineInTheSource(t *testing.T) {
	t.Setenv("GODEBUG", "http2client=1")
	wantAsNetHTTP(t, "HTTP/2.0")
}

func TestTheLastOfSeveralSettingsCounts(t *testing.T) {
	t.Setenv("GODEBUG", "http2client=0,http2client=1")
	wantAsNetHTTP(t, "HTTP/2.0")
	t.Setenv("GODEBUG", "http2client=1,http2client=0")
	wantAsNetHTTP(t, "HTTP/1.1")
}

func TestARequestThatOnlyHTTP2CouldServeFailsAsWithNetHTTP(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Protocols: versions((*http.Protocols).SetUnencryptedHTTP2)})
	theirs, ours := both(t, o.URL(), func() *http.Transport {
		return &http.Transport{Protocols: versions((*http.Protocols).SetUnencryptedHTTP2)}
	})
	if ours != theirs {
		t.Errorf("%s, with net/http %s", ours, theirs)
	}
}
