package peerpool_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// thrifty starts a server that has one goroutine for all its connections: it answers the first request of each,
// one after the other, and keeps them until hangUp is called or the test ends.
func thrifty(t *testing.T, cfg *tls.Config) (url string, hangUp func()) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	scheme := "http://"
	url = ln.Addr().String()
	if cfg != nil {
		scheme, ln = "https://", tls.NewListener(ln, cfg)
	}
	hung, ended := make(chan []net.Conn), make(chan struct{})
	go func() {
		defer close(ended)
		var conns []net.Conn
		for {
			nc, err := ln.Accept()
			if err != nil {
				hung <- conns
				return
			}
			if answerOnce(nc) == nil {
				conns = append(conns, nc)
			}
		}
	}()
	closed := false
	hangUp = func() {
		if closed {
			return
		}
		closed = true
		ln.Close()
		for _, nc := range <-hung {
			nc.Close()
		}
		<-ended
	}
	t.Cleanup(hangUp)
	return scheme + url, hangUp
}

func answerOnce(nc net.Conn) error {
	nc.SetDeadline(time.Now().Add(httptestutil.Bound))
	buf := make([]byte, 4096)
	for n := 0; !bytes.Contains(buf[:n], []byte("\r\n\r\n")); {
		more, err := nc.Read(buf[n:])
		if err != nil {
			return err
		}
		n += more
	}
	_, err := io.WriteString(nc, ok)
	return err
}

func TestIdleConnectionsHoldNoGoroutine(t *testing.T) {
	cert := httptestutil.NewCA(t)
	for name, c := range map[string]struct {
		conns  int
		server *tls.Config
		client *tls.Config
	}{
		"plain": {1000, nil, nil},
		"TLS":   {100, &tls.Config{Certificates: []tls.Certificate{cert.Server()}}, &tls.Config{RootCAs: cert.Pool()}},
	} {
		t.Run(name, func(t *testing.T) {
			httptestutil.CheckLeaks(t)
			url, hangUp := thrifty(t, c.server)
			s := observe(t, &peerpool.Transport{MaxIdleConnsPerHost: c.conns, IdleConnTimeout: time.Hour, TLSClientConfig: c.client})
			before := runtime.NumGoroutine()
			s.idleConns(url, c.conns)
			watcher := 0
			if runtime.GOOS == "linux" {
				watcher = 1
			}
			goroutines := func() int { return runtime.NumGoroutine() - before }
			eventually(t, "no goroutine but the watcher's", func() bool { return goroutines() <= watcher }, func() any { return goroutines() })
			if runtime.GOOS != "linux" {
				return
			}
			hangUp()
			s.closes("peer_closed", uint64(c.conns))
			eventually(t, "the watcher's is gone too", func() bool { return goroutines() <= 0 }, func() any { return goroutines() })
		})
	}
}

func TestATransportThatIsDroppedLeavesNothingRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wire, tr := inMemory(t, numbered())
		tr.IdleConnTimeout = time.Minute
		resp, err := (&http.Client{Transport: tr}).Get("http://example.test")
		if err != nil {
			t.Fatal(err)
		}
		readBody(t, resp)
		time.Sleep(time.Minute - 1)
		if n := wire.OpenConns(); n != 1 {
			t.Errorf("%d connections before the timeout", n)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if n := wire.OpenConns(); n != 0 {
			t.Errorf("%d connections after the timeout", n)
		}
		// Whatever else is left in the bubble fails the test at its end.
	})
}

func TestATransportThatIsDroppedIsCollected(t *testing.T) {
	for name, c := range map[string]struct {
		timeout time.Duration
		end     func(*httptestutil.Origin)
	}{
		"when its connections have timed out": {time.Millisecond, func(*httptestutil.Origin) {}},
		"when its server has gone":            {0, (*httptestutil.Origin).CloseIdle},
	} {
		t.Run(name, func(t *testing.T) {
			httptestutil.CheckLeaks(t)
			origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
			dropped := func() weak.Pointer[peerpool.Transport] {
				tr := &peerpool.Transport{TLSClientConfig: origin.ClientTLS(), IdleConnTimeout: c.timeout}
				resp, err := tr.RoundTrip(newRequest(t, "GET", origin.URL(), nil))
				if err != nil {
					t.Fatal(err)
				}
				readBody(t, resp)
				return weak.Make(tr)
			}()
			c.end(origin)
			origin.WaitOpenConns(0)
			eventually(t, "the Transport is collected", func() bool {
				runtime.GC()
				return dropped.Value() == nil
			}, func() any { return dropped })
		})
	}
}
