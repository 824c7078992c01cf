package servers_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/testkit"
)

// haproxy starts an HAProxy in front of an origin. It keeps an idle connection of a client for 300 ms.
func haproxy(t *testing.T, mode, origin string) (url string) {
	t.Helper()
	program, addr := testkit.Installed(t, "haproxy"), testkit.FreeAddr(t)
	const config = `
		global
			maxconn 200
		defaults
			mode http
			option %s
			timeout connect 5s
			timeout client 5s
			timeout server 5s
			timeout http-keep-alive 300ms
		frontend front
			bind %s
			default_backend back
		backend back
			server origin %s`
	lines := strings.ReplaceAll(fmt.Sprintf(config, mode, addr, origin), "\n\t\t", "\n")
	testkit.RunServer(t, addr, program, "-db", "-q", "-f", testkit.ConfigFile(t, "haproxy.cfg", lines))
	return "http://" + addr
}

func TestHAProxyLosesNothing(t *testing.T) {
	for _, mode := range []string{"http-keep-alive", "http-server-close"} {
		t.Run(mode, func(t *testing.T) {
			origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Handler: http.HandlerFunc(testkit.Digest)})
			url := haproxy(t, mode, origin.Addr())
			s := testkit.Observe(t, &peerpool.Transport{})
			text := strings.Repeat("through the proxy ", 3000)
			load := bursts{
				callers: 4, each: 60, times: 5, pause: 300 * time.Millisecond,
				request: func(caller int) *http.Request {
					return testkit.NewRequest(t, http.MethodPut, url, strings.NewReader(text[:(caller+1)*len(text)/4]))
				},
				check: func(body string) error {
					for part := 1; part <= 4; part++ {
						if n := part * len(text) / 4; body == testkit.DigestOf(text[:n], int64(n)) {
							return nil
						}
					}
					return fmt.Errorf("the origin got %.200q", body)
				},
			}.fewer()
			sent := load.run(s)
			if want := load.callers * load.each * load.times; sent != want {
				t.Errorf("%d of %d requests were answered", sent, want)
			}
			st := s.Stats()
			t.Logf("%d requests on %d connections; %+v; closes %v", sent, st.Opened, st.Retries, st.Closes)
			if most := uint64(sent / 10); st.Opened > most || st.UnexpectedData != 0 {
				t.Errorf("%d connections, want at most %d; %+v", st.Opened, most, st)
			}
		})
	}
}
