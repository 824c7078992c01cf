package differential_test

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/testkit"
)

// haproxy starts an HAProxy that speaks HTTP/2 over TLS to its clients and HTTP/1.1 to an origin. It allows 20 streams.
func haproxy(t *testing.T, origin string, ca *httptestutil.CA) (url string) {
	t.Helper()
	program, addr := testkit.Installed(t, "haproxy"), testkit.FreeAddr(t)
	const config = `
		global
			maxconn 500
			tune.h2.max-concurrent-streams 20
		defaults
			mode http
			timeout connect 5s
			timeout client 20s
			timeout server 20s
		frontend front
			bind %s ssl crt %s alpn h2
			default_backend back
		backend back
			server origin %s`
	cert := testkit.CertificateFile(t, t.TempDir(), ca)
	lines := strings.ReplaceAll(fmt.Sprintf(config, addr, cert, origin), "\n\t\t", "\n")
	testkit.RunServer(t, addr, program, "-db", "-q", "-f", testkit.ConfigFile(t, "haproxy.cfg", lines))
	return "https://" + addr
}

// digest answers with the digest of the request's body.
func digest(w http.ResponseWriter, r *http.Request) {
	sum := sha256.New()
	n, err := io.Copy(sum, r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	fmt.Fprintf(w, "%d %s", n, hex.EncodeToString(sum.Sum(nil)))
}

func TestHAProxyServesUploadsOfEverySizeOverHTTP2(t *testing.T) {
	ca := httptestutil.NewCA(t)
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Handler: http.HandlerFunc(digest)})
	url := haproxy(t, origin.Addr(), ca)
	tr := &peerpool.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool()}, ForceAttemptHTTP2: true, MaxConnsPerHost: 8}
	defer tr.CloseIdleConnections()
	const callers, each = 32, 30
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for i := range each {
				text := strings.Repeat("x", (caller*each+i)*200)
				if err := put(tr, url, text, i%2 == 0); err != nil {
					t.Errorf("%d bytes: %v", len(text), err)
					return
				}
			}
		})
	}
	wg.Wait()
	st := tr.Stats()
	t.Logf("%d connections; %+v; closes %v", st.Opened, st.Retries, st.Closes)
	if st.Retries.Failed != 0 || st.Opened < 2 || st.Opened > 8+st.Closes["surplus"] {
		t.Errorf("%+v", st)
	}
}

// put sends text, as a body whose length is known or not, and checks what the origin has got.
func put(tr *peerpool.Transport, url, text string, known bool) error {
	var body io.Reader = strings.NewReader(text)
	if !known {
		body = io.MultiReader(body)
	}
	req, err := http.NewRequest(http.MethodPut, url, body)
	if err != nil {
		return err
	}
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(text))
	if want := fmt.Sprintf("%d %s", len(text), hex.EncodeToString(sum[:])); string(got) != want || resp.ProtoMajor != 2 {
		return fmt.Errorf("%s over %s: %.200q", resp.Status, resp.Proto, got)
	}
	return nil
}
