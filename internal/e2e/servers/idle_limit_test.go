package servers_test

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peerpool/peerpool"
	"github.com/peerpool/peerpool/internal/testkit"
)

// idleServers are servers that close idle connections after a short time.
var idleServers = []struct {
	name      string
	start     func(t *testing.T) (url string)
	limit     time.Duration
	callers   int
	announces bool // the limit, in a Keep-Alive header
}{
	{"nginx", crowdedNginx, time.Second, 100, false},
	{"HAProxy", haproxyAlone, 300 * time.Millisecond, 100, false},
	{"gunicorn", gunicorn, time.Second, 100, false},
	{"Apache", apache, time.Second, 100, false},
	{"reset", func(t *testing.T) string { return resets(t, 200*time.Millisecond) }, 200 * time.Millisecond, 40, false},
	{"Node", node, time.Second, 100, true},
}

// crowdedNginx starts an nginx that has room for many connections, and keeps an idle one for a second.
func crowdedNginx(t *testing.T) (url string) {
	t.Helper()
	program, addr := testkit.Installed(t, "nginx"), testkit.FreeAddr(t)
	path := testkit.ConfigFile(t, "nginx.conf", fmt.Sprintf(`
		daemon off;
		worker_processes 1;
		worker_rlimit_nofile 4096;
		pid nginx.pid;
		error_log stderr crit;
		events { worker_connections 2048; }
		http {
			access_log off;
			client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
			keepalive_requests 100000;
			keepalive_timeout 1s;
			server { listen %s backlog=1024; location / { return 200 "x"; } }
		}`, addr))
	testkit.RunServer(t, addr, program, "-p", filepath.Dir(path), "-c", path, "-e", "stderr")
	return "http://" + addr
}

func haproxyAlone(t *testing.T) (url string) {
	t.Helper()
	program, addr := testkit.Installed(t, "haproxy"), testkit.FreeAddr(t)
	path := testkit.ConfigFile(t, "haproxy.cfg", strings.ReplaceAll(fmt.Sprintf(`
		global
			maxconn 1500
		defaults
			mode http
			timeout client 30s
			timeout server 30s
			timeout connect 5s
			timeout http-keep-alive 300ms
		frontend f
			bind %s backlog 1024
			http-request return status 200 content-type text/plain string x`, addr), "\n\t\t", "\n"))
	testkit.RunServer(t, addr, program, "-db", "-q", "-f", path)
	return "http://" + addr
}

func gunicorn(t *testing.T) (url string) {
	t.Helper()
	return testkit.Gunicorn(t, "--threads", "4", "--worker-connections", "1500", "--keep-alive", "1", "--graceful-timeout", "1")
}

func apache(t *testing.T) (url string) {
	t.Helper()
	return testkit.Apache(t, `
		ThreadsPerChild 64
		MaxRequestWorkers 64
		AsyncRequestWorkerFactor 20
		MaxKeepAliveRequests 0
		KeepAliveTimeout 1`)
}

func node(t *testing.T) (url string) {
	t.Helper()
	return testkit.Node(t, "server.keepAliveTimeout = 1000;")
}

// resets starts a server that resets a connection when it has been idle for that long.
func resets(t *testing.T, idle time.Duration) (url string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() { // ends when ln is closed
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { // ends with the connection, which is reset when it is idle
				r := bufio.NewReader(nc)
				for {
					req, err := http.ReadRequest(r)
					if err == nil {
						_, err = io.Copy(io.Discard, req.Body)
					}
					if err == nil {
						_, err = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
					}
					if err != nil {
						nc.(*net.TCPConn).SetLinger(0)
						nc.Close()
						return
					}
					nc.SetReadDeadline(time.Now().Add(idle))
				}
			}()
		}
	}()
	return "http://" + ln.Addr().String()
}

// returning is a load of callers that come back when their connections have been idle for about as long as the server
// keeps them.
type returning struct {
	callers, rounds int
	pause           time.Duration
	spread          time.Duration // each caller comes back earlier or later by up to this much
}

// patience is how long a caller waits for an answer. A server that takes longer has stopped to serve. Each thread of gunicorn
// waits for the first request of a new connection without a limit, and the pool uses or closes such a connection within
// 4 seconds.
const patience = time.Minute

// post sends a POST request and reads the response. It waits for patience at most.
func post(t *testing.T, rt http.RoundTripper, url string) error {
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	resp, err := rt.RoundTrip(testkit.NewRequest(t, http.MethodPost, url, strings.NewReader("body")).WithContext(ctx))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// run returns how many POST requests were sent and lost from the second round on, and how many callers the server left
// without any answer.
func (l returning) run(t *testing.T, rt http.RoundTripper, url string) (sent, lost, unanswered int64) {
	var sends, losses, silent atomic.Int64
	var wg sync.WaitGroup
	for range l.callers {
		wg.Go(func() {
			for round := range l.rounds {
				err := post(t, rt, url)
				if errors.Is(err, context.DeadlineExceeded) {
					silent.Add(1)
					return
				}
				if round > 0 {
					sends.Add(1)
					if err != nil {
						losses.Add(1)
					}
				}
				time.Sleep(l.pause - l.spread + rand.N(2*l.spread))
			}
		})
	}
	wg.Wait()
	return sends.Load(), losses.Load(), silent.Load()
}

var callers = flag.Int("callers", 0, "how many callers come back just as the idle limit of a server passes, in place of each server's number")

// TestFewPostsAreLostToTheIdleLimitOfAServer shows that real servers teach their limits. Of these servers, only Node
// announces its limit. How many POSTs are lost depends on the machine; the test of internal/learn in simulated time bounds
// that number.
func TestFewPostsAreLostToTheIdleLimitOfAServer(t *testing.T) {
	for _, server := range idleServers {
		t.Run(server.name, func(t *testing.T) {
			load := returning{callers: cmp.Or(*callers, server.callers), rounds: 5, pause: server.limit, spread: server.limit / 50}
			tr := &peerpool.Transport{}
			t.Cleanup(tr.CloseIdleConnections)
			url := server.start(t)
			sent, lost, unanswered := load.run(t, tr, url)
			// On a busy machine too few closes may be at a steady age.
			for again := 0; again < 5 && unanswered == 0 && !server.announces && len(tr.Stats().Learned) == 0; again++ {
				sent, lost, unanswered = load.run(t, tr, url)
			}
			st := tr.Stats()
			if unanswered > 0 {
				t.Fatalf("the server has left %d callers without an answer; closes %v", unanswered, st.Closes)
			}
			t.Logf("%d of %d POSTs were lost, %.2f %%; %d hits; closes %v", lost, sent, 100*float64(lost)/float64(sent), st.Hits, st.Closes)
			if lost == sent {
				t.Error("all POSTs were lost")
			}
			if server.announces {
				return // no connection has been idle until the server closed it
			}
			if len(st.Learned) != 1 {
				t.Fatalf("%d limits were learned, want that of the server", len(st.Learned))
			}
			l := st.Learned[0]
			t.Logf("learned %v, requests use connections that were idle for up to %v", l.IdleClose, l.IdleTime)
			if l.IdleTime <= 0 || l.IdleTime >= l.IdleClose {
				t.Errorf("learned %+v, the server closes after %v", l, server.limit)
			}
		})
	}
}

func TestNothingIsLearnedIfThatIsTurnedOff(t *testing.T) {
	url := resets(t, 20*time.Millisecond)
	tr := &peerpool.Transport{DisableLearning: true}
	t.Cleanup(tr.CloseIdleConnections)
	returning{callers: 4, rounds: 20, pause: 30 * time.Millisecond, spread: time.Millisecond}.run(t, tr, url)
	if st := tr.Stats(); len(st.Learned) != 0 || st.Closes["peer_closed"] == 0 {
		t.Errorf("learned %+v from %v", st.Learned, st.Closes)
	}
}
