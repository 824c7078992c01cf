package probe

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/peerpool/peerpool/internal/testkit"
)

// These tests run the probe against real servers with known settings, and compare its findings with the settings.

// found probes url, which must succeed.
func found(t *testing.T, target string, o Options) *Report {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	o.URL = u
	if o.MaxWait == 0 {
		o.MaxWait = 20 * time.Second
	}
	if o.MaxRequests == 0 {
		o.MaxRequests = 30
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := Run(ctx, o)
	if err != nil {
		t.Fatalf("%v, after %+v", err, r)
	}
	return r
}

// wantIdle checks the idle limit of a server on a busy machine. The server's timer or our read may be late. Tests in
// simulated time show how exact the probe is.
func wantIdle(t *testing.T, got *Idle, seconds float64) {
	t.Helper()
	if got == nil || got.End == "" || got.Seconds < seconds/2 {
		t.Errorf("idle limit %+v, want about %v s", got, seconds)
	}
}

func settingsOf(r *Report) map[string]string {
	settings := map[string]string{}
	for _, s := range r.Settings {
		settings[s.Field] = s.Value
	}
	return settings
}

func TestTheProbeFindsWhatNginxIsSetTo(t *testing.T) {
	t.Parallel()
	program, addr := testkit.Installed(t, "nginx"), testkit.FreeAddr(t)
	path := testkit.ConfigFile(t, "nginx.conf", fmt.Sprintf(`
		daemon off;
		worker_processes 1;
		pid nginx.pid;
		error_log stderr warn;
		events { worker_connections 64; }
		http {
			access_log off;
			client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
			keepalive_requests 20;
			keepalive_timeout 2s 1s;
			server { listen %s; location / { return 200 "x"; } }
		}`, addr))
	testkit.RunServer(t, addr, program, "-p", filepath.Dir(path), "-c", path, "-e", "stderr")
	r := found(t, "http://"+addr+"/", Options{})
	h := r.HTTP1
	if !h.KeepsAlive || h.MaxRequests != 20 || !h.Announced || h.Hint != "timeout=1" || h.HintTrue == nil || !*h.HintTrue || !*h.DrainsBodies {
		t.Errorf("%+v", h)
	}
	wantIdle(t, h.Idle, 2)
	if s := settingsOf(r); s["MaxConnReuse"] != "19" || s["IdleConnTimeout"] == "" {
		t.Errorf("%v", s)
	}
}

func TestTheProbeFindsWhatApacheIsSetTo(t *testing.T) {
	t.Parallel()
	url := testkit.Apache(t, `
		MaxKeepAliveRequests 10
		KeepAliveTimeout 1`)
	h := found(t, url, Options{}).HTTP1
	if !h.KeepsAlive || h.MaxRequests < 10 || h.MaxRequests > 11 || !h.Announced {
		t.Errorf("%+v", h)
	}
	wantIdle(t, h.Idle, 1)
}

func TestTheProbeFindsWhatHAProxyIsSetTo(t *testing.T) {
	t.Parallel()
	program, addr := testkit.Installed(t, "haproxy"), testkit.FreeAddr(t)
	path := testkit.ConfigFile(t, "haproxy.cfg", fmt.Sprintf(`
		defaults
			mode http
			timeout client 30s
			timeout server 30s
			timeout connect 5s
			timeout http-keep-alive 1500ms
		frontend f
			bind %s
			http-request return status 200 content-type text/plain string x`, addr))
	testkit.RunServer(t, addr, program, "-db", "-f", path)
	r := found(t, "http://"+addr+"/", Options{})
	if h := r.HTTP1; !h.KeepsAlive || h.MaxRequests != 0 || h.Tried != 30 || h.Hint != "" {
		t.Errorf("%+v", h)
	}
	wantIdle(t, r.HTTP1.Idle, 1.5)
}

func TestTheProbeFindsWhatNodeIsSetTo(t *testing.T) {
	t.Parallel()
	r := found(t, testkit.Node(t, "server.keepAliveTimeout = 1000; server.maxRequestsPerSocket = 5;"), Options{})
	h := r.HTTP1
	if h.MaxRequests != 5 || !h.Announced || h.Hint != "timeout=1, max=5" && h.Hint != "timeout=1" {
		t.Errorf("%+v", h)
	}
	wantIdle(t, h.Idle, 1)
}

func TestTheProbeFindsWhatGunicornIsSetTo(t *testing.T) {
	t.Parallel()
	r := found(t, testkit.Gunicorn(t, "--threads", "2", "--keep-alive", "2"), Options{})
	if h := r.HTTP1; !h.KeepsAlive || h.MaxRequests != 0 || h.Hint != "" {
		t.Errorf("%+v", h)
	}
	wantIdle(t, r.HTTP1.Idle, 2)
}
