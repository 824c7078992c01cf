package servers_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/peerpool/peerpool"
	"github.com/peerpool/peerpool/internal/testkit"
)

const fewRequests = 100 // on a connection of the servers below

// cappedServers are servers that end a connection after fewRequests requests. HAProxy and gunicorn have no such limit.
var cappedServers = []struct {
	name  string
	start func(t *testing.T) (url string)
}{
	{"nginx", cappedNginx},
	{"Apache", cappedApache},
	{"Node", cappedNode},
}

func cappedNginx(t *testing.T) (url string) {
	t.Helper()
	program, addr := testkit.Installed(t, "nginx"), testkit.FreeAddr(t)
	path := testkit.ConfigFile(t, "nginx.conf", fmt.Sprintf(`
		daemon off;
		worker_processes 1;
		pid nginx.pid;
		error_log stderr crit;
		events { worker_connections 512; }
		http {
			access_log off;
			client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
			keepalive_requests %d;
			server { listen %s; location / { return 200 "x"; } }
		}`, fewRequests, addr))
	testkit.RunServer(t, addr, program, "-p", filepath.Dir(path), "-c", path, "-e", "stderr")
	return "http://" + addr
}

func cappedApache(t *testing.T) (url string) {
	t.Helper()
	return testkit.Apache(t, fmt.Sprintf(`
		ThreadsPerChild 16
		MaxRequestWorkers 16
		AsyncRequestWorkerFactor 20
		KeepAlive On
		MaxKeepAliveRequests %d
		KeepAliveTimeout 60`, fewRequests))
}

func cappedNode(t *testing.T) (url string) {
	t.Helper()
	return testkit.Node(t, fmt.Sprintf("server.maxRequestsPerSocket = %d;", fewRequests))
}

// TestNoPostIsLostToTheRequestLimitOfAServer lets each of a few callers send one POST after the other. The first request on
// each connection cannot be a hit.
func TestNoPostIsLostToTheRequestLimitOfAServer(t *testing.T) {
	const each = 1000
	for _, server := range cappedServers {
		t.Run(server.name, func(t *testing.T) {
			url := server.start(t)
			tr := &peerpool.Transport{}
			t.Cleanup(tr.CloseIdleConnections)
			n := cmp.Or(*callers, 4)
			var lost atomic.Int64
			var wg sync.WaitGroup
			for range n {
				wg.Go(func() {
					for range each {
						err := post(t, tr, url)
						if errors.Is(err, context.DeadlineExceeded) {
							t.Error("the server did not answer")
							return
						}
						if err != nil {
							lost.Add(1)
							t.Log(err)
						}
					}
				})
			}
			wg.Wait()
			st := tr.Stats()
			sent := n * each
			t.Logf("%d of %d POSTs were lost; %d hits, %d connections, %d replacements; misses %v, closes %v; learned %v",
				lost.Load(), sent, st.Hits, st.Opened, st.Replacements, st.Misses, st.Closes, st.Learned)
			if lost.Load() > int64(sent)/1000 {
				t.Errorf("%d of %d POSTs were lost", lost.Load(), sent)
			}
			// On a busy machine, more requests than these find no connection, and leave dials behind.
			if most := sent - sent/fewRequests; int(st.Hits) < most-sent/8 {
				t.Errorf("%d hits, at most %d are possible", st.Hits, most)
			}
			for _, l := range st.Learned { // a quick machine sends all requests before closes at four moments can teach
				if l.Requests != 0 && l.Requests != fewRequests && l.Requests != fewRequests+1 { // Apache serves one more
					t.Errorf("learned %+v, the server serves %d requests", l.LearnedLimits, fewRequests)
				}
			}
		})
	}
}
