package servers_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/peerpool/peerpool"
	"github.com/peerpool/peerpool/internal/testkit"
)

// nginx starts an nginx that answers with the number of the connection and of the request on it. It keeps a
// connection for 100 requests and, while it idles, for what timeout says.
func nginx(t *testing.T, timeout string) (url string) {
	t.Helper()
	program, addr := testkit.Installed(t, "nginx"), testkit.FreeAddr(t)
	const config = `
		daemon off;
		worker_processes 1;
		pid nginx.pid;
		error_log stderr warn;
		events { worker_connections 512; }
		http {
			access_log off;
			client_body_temp_path body;
			proxy_temp_path proxy;
			fastcgi_temp_path fastcgi;
			uwsgi_temp_path uwsgi;
			scgi_temp_path scgi;
			keepalive_requests 100;
			keepalive_timeout %s;
			server {
				listen %s;
				location / { return 200 "$connection $connection_requests"; }
			}
		}`
	path := testkit.ConfigFile(t, "nginx.conf", fmt.Sprintf(config, timeout, addr))
	testkit.RunServer(t, addr, program, "-p", filepath.Dir(path), "-c", path, "-e", "stderr")
	return "http://" + addr
}

// hundredEach checks that no connection carries more than nginx lets it.
func hundredEach(body string) error {
	conn, seq, err := testkit.NumbersOf(body)
	if err == nil && seq > 100 {
		err = fmt.Errorf("request %d on connection %d", seq, conn)
	}
	return err
}

func TestNginxLosesNoGetThoughItClosesIdleConnections(t *testing.T) {
	url := nginx(t, "1s")
	s := testkit.Observe(t, &peerpool.Transport{})
	load := bursts{
		callers: 8, each: 278, times: 9, pause: time.Second,
		request: func(int) *http.Request { return testkit.NewRequest(t, http.MethodGet, url, nil) },
		check:   hundredEach,
	}.fewer()
	sent := load.run(s)
	if want := load.callers * load.each * load.times; sent != want {
		t.Errorf("%d of %d requests were answered", sent, want)
	}
	st := s.Stats()
	t.Logf("%d requests on %d connections; %d retries; closes %v", sent, st.Opened, st.Retries.Stale+st.Retries.Unsent, st.Closes)
	if st.Retries.Failed != 0 || st.Closes["connection_close"] == 0 && !testing.Short() {
		t.Errorf("%+v", st)
	}
}

func TestNginxLosesNoPostWhereItSaysHowLongItWaits(t *testing.T) {
	url := nginx(t, "1s 1s") // the second one makes it send Keep-Alive: timeout=1
	s := testkit.Observe(t, &peerpool.Transport{})
	load := bursts{
		callers: 8, each: 50, times: 3, pause: time.Second,
		request: func(int) *http.Request { return testkit.NewRequest(t, http.MethodPost, url, strings.NewReader("body")) },
		check:   hundredEach,
	}.fewer()
	load.run(s)
	// The reaper has closed the connections before nginx would have.
	if st := s.Stats(); st.Closes["idle_timeout"] == 0 || st.Retries.Stale != 0 {
		t.Errorf("%+v", st)
	}
}
