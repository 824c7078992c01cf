package http2_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/nettest"
	"github.com/peerpool/peerpool/internal/testkit"
)

// nginxHTTP2 is an nginx that speaks HTTP/2.
type nginxHTTP2 struct {
	url, config, program string
	cfg                  *tls.Config // to trust it
}

// nginxOverHTTP2 starts an nginx that closes a connection after a number of requests. It answers with the numbers of the
// connection and of the request.
func nginxOverHTTP2(t *testing.T, requests int) *nginxHTTP2 {
	t.Helper()
	program, addr, ca := testkit.Installed(t, "nginx"), testkit.FreeAddr(t), httptestutil.NewCA(t)
	const config = `
		daemon off;
		worker_processes 1;
		pid nginx.pid;
		error_log stderr crit;
		events { worker_connections 512; }
		http {
			access_log off;
			client_body_temp_path body;
			proxy_temp_path proxy;
			fastcgi_temp_path fastcgi;
			uwsgi_temp_path uwsgi;
			scgi_temp_path scgi;
			keepalive_requests %d;
			keepalive_timeout 5s;
			server {
				listen %s ssl http2;
				ssl_certificate server.pem;
				ssl_certificate_key server.pem;
				location / { return 200 "$connection $connection_requests"; }
			}
		}`
	path := testkit.ConfigFile(t, "nginx.conf", fmt.Sprintf(config, requests, addr))
	testkit.CertificateFile(t, filepath.Dir(path), ca)
	testkit.RunServer(t, addr, program, "-p", filepath.Dir(path), "-c", path, "-e", "stderr")
	return &nginxHTTP2{url: "https://" + addr, config: path, program: program, cfg: &tls.Config{RootCAs: ca.Pool()}}
}

// reload has nginx begin anew in a new process, while the old one ends gracefully.
func (n *nginxHTTP2) reload(t *testing.T) {
	t.Helper()
	out, err := exec.Command(n.program, "-p", filepath.Dir(n.config), "-c", n.config, "-e", "stderr", "-s", "reload").CombinedOutput()
	if err != nil {
		t.Errorf("nginx -s reload: %v\n%s", err, out)
	}
}

// TestNginxRotatesHTTP2ConnectionsAndLosesNothing uses an nginx that sends GOAWAY with the last request that it takes,
// while other requests are on their way.
func TestNginxRotatesHTTP2ConnectionsAndLosesNothing(t *testing.T) {
	for each, total := range map[int]int{100: 20_000, 5: 2_000} {
		t.Run(fmt.Sprintf("every %d", each), func(t *testing.T) {
			if testing.Short() {
				total /= 10
			}
			n := nginxOverHTTP2(t, each)
			s := testkit.Observe(t, &peerpool.Transport{TLSClientConfig: n.cfg, ForceAttemptHTTP2: true})
			const callers = 16
			testkit.Crowd(t, callers, func(int) error {
				for range total / callers {
					req := testkit.NewRequest(t, http.MethodPost, n.url, strings.NewReader("not idempotent"))
					body, err := s.Try(req)
					if err != nil {
						return err
					}
					if _, seq, err := testkit.NumbersOf(body); err != nil || seq > each {
						return fmt.Errorf("request %d on its connection: %w", seq, err)
					}
				}
				return nil
			})
			st := s.Stats()
			t.Logf("%d requests on %d connections; %+v; closes %v", total, st.Opened, st.Retries, st.Closes)
			if st.Retries.Failed != 0 || st.Closes["goaway"] == 0 {
				t.Errorf("%+v", st)
			}
			if most := uint64(4 * total / each); st.Opened > most {
				t.Errorf("%d connections, want at most %d", st.Opened, most)
			}
		})
	}
}

func TestAnHTTP2ServersGracefulRestartsLoseNothing(t *testing.T) {
	n := nginxOverHTTP2(t, 1000)
	s := testkit.Observe(t, &peerpool.Transport{TLSClientConfig: n.cfg, ForceAttemptHTTP2: true})
	const restarts = 4
	sent := s.Busy(n.url, 8, func() {
		for range restarts {
			before := s.Stats().Opened
			n.reload(t)
			nettest.Eventually(t, "requests go to the new process", func() bool { return s.Stats().Opened > before },
				func() any { return s.Stats() })
		}
	})
	st := s.Stats()
	t.Logf("%d requests on %d connections; %+v; closes %v", sent, st.Opened, st.Retries, st.Closes)
	if st.Retries.Failed != 0 || st.Opened < restarts {
		t.Errorf("%+v", st)
	}
}

func TestAnHTTP2ServersAbruptRestartsLoseNoGet(t *testing.T) {
	for name, upset := range map[string]func(*httptestutil.Origin){
		"closed": (*httptestutil.Origin).CloseConns, "reset": (*httptestutil.Origin).ResetConns,
	} {
		t.Run(name, func(t *testing.T) {
			// No response has a body, which could break off.
			o := testkit.Http2Origin(t, 100, func(http.ResponseWriter, *http.Request) {})
			s := onHTTP2(t, o, &peerpool.Transport{})
			// The end came in the midst of a response, which is never asked for again.
			begun := func(last peerpool.Attempt) bool { return last.Started }
			for range 20 {
				s.Get(o.URL())
				s.Get(o.URL()) // for certain on a connection that has served before
				s.StampedeOr(o.URL(), 50, func() { upset(o) }, begun)
			}
			st := s.Stats()
			t.Logf("%d connections; %+v; closes %v", st.Opened, st.Retries, st.Closes)
			if st.Retries.Failed != 0 || st.Opened < 10 || st.Opened > 200 {
				t.Errorf("%d connections, %+v", st.Opened, st.Retries)
			}
		})
	}
}

// nghttpd starts nghttp2's server on an empty directory with one file.
func nghttpd(t *testing.T, args ...string) (url string, cfg *tls.Config) {
	t.Helper()
	program, addr, ca := testkit.Installed(t, "nghttpd"), testkit.FreeAddr(t), httptestutil.NewCA(t)
	dir := filepath.Dir(testkit.ConfigFile(t, "file.txt", strings.Repeat("nghttpd ", 4000)))
	cert := testkit.CertificateFile(t, dir, ca)
	_, port, _ := strings.Cut(addr, ":")
	args = append(args, "-a", "127.0.0.1", "-d", dir, port, cert, cert)
	testkit.RunServer(t, addr, program, args...)
	return "https://" + addr + "/file.txt", &tls.Config{RootCAs: ca.Pool()}
}

func TestNghttpdServesACrowdOnFewConnections(t *testing.T) {
	url, cfg := nghttpd(t, "-m", "20") // streams
	s := testkit.Observe(t, &peerpool.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true, MaxConnsPerHost: 4})
	want := strings.Repeat("nghttpd ", 4000)
	testkit.Crowd(t, 100, func(int) error {
		for range 10 {
			body, err := s.Try(testkit.NewRequest(t, http.MethodGet, url, nil))
			if err != nil {
				return err
			}
			if strings.TrimSpace(body) != strings.TrimSpace(want) {
				return fmt.Errorf("%d bytes came, want %d", len(body), len(want))
			}
		}
		return nil
	})
	if st := s.Stats(); st.Retries.Failed != 0 || st.Opened > 4+st.Closes["surplus"]+st.Closes["make_room"] {
		t.Errorf("%+v", st)
	}
}
