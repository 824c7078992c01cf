package httptestutil_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

func TestAnOriginTellsConnectionAndSequence(t *testing.T) {
	httptestutil.CheckLeaks(t)
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	client := newClient(t, nil)
	for seq := 1; seq <= 3; seq++ {
		seen := getIdle(t, client, o.URL()+"/path?q=1")
		wantEqual(t, "conn", seen.Conn, 1)
		wantEqual(t, "seq", seen.Seq, seq)
		wantEqual(t, "target", seen.Target, "/path?q=1")
		wantEqual(t, "origin", seen.Origin, o.Addr())
	}
	client.CloseIdleConnections()
	seen := getIdle(t, client, o.URL())
	wantEqual(t, "conn after closing the first", seen.Conn, 2)
	wantEqual(t, "seq after closing the first", seen.Seq, 1)
	wantEqual(t, "Conns", o.Conns(), 2)
	wantEqual(t, "Requests", o.Requests(), 4)
	wantEqual(t, "len(Seen)", len(o.Seen()), 4)
}

func TestAnOriginSetsItsHeadersForACustomHandler(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Method", httptestutil.SeenBy(r).Method)
			w.WriteHeader(http.StatusTeapot)
		}),
	})
	_, resp := get(t, newClient(t, nil), o.URL())
	wantEqual(t, "status", resp.StatusCode, http.StatusTeapot)
	wantEqual(t, "X-Method", resp.Header.Get("X-Method"), "GET")
	wantEqual(t, "X-Conn", resp.Header.Get(httptestutil.HeaderConn), "1")
	wantEqual(t, "X-Seq", resp.Header.Get(httptestutil.HeaderSeq), "1")
	wantEqual(t, "X-Origin", resp.Header.Get(httptestutil.HeaderOrigin), o.Addr())
}

func TestAnOriginSeesTheClientsCertificateAndServerName(t *testing.T) {
	httptestutil.CheckLeaks(t)
	ca := httptestutil.NewCA(t)
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{
		CA:  ca,
		TLS: &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, MaxVersion: tls.VersionTLS12},
	})
	cfg := o.ClientTLS()
	cfg.Certificates = []tls.Certificate{ca.Client("tenant-a")}
	cfg.ServerName = "example.test"
	seen := echo(t, newClient(t, cfg), o.URL())
	wantEqual(t, "client CN", seen.ClientCN, "tenant-a")
	wantEqual(t, "SNI", seen.SNI, "example.test")
	wantEqual(t, "version", seen.TLSVersion, "TLS 1.2")
	wantEqual(t, "did resume", seen.DidResume, false)

	_, _, err := tryGet(t, newClient(t, o.ClientTLS()), o.URL())
	wantError(t, err, "tls:")
}

func TestAnOriginReportsResumptionUnlessTicketsAreOff(t *testing.T) {
	for _, disabled := range []bool{false, true} {
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{
			TLS: &tls.Config{SessionTicketsDisabled: disabled},
		})
		cfg := o.ClientTLS()
		cfg.ClientSessionCache = tls.NewLRUClientSessionCache(0)
		client := newClient(t, cfg)
		wantEqual(t, "first resumes", getIdle(t, client, o.URL()).DidResume, false)
		client.CloseIdleConnections()
		wantEqual(t, "second resumes", getIdle(t, client, o.URL()).DidResume, !disabled)
		o.Restart()
		client.CloseIdleConnections()
		wantEqual(t, "after a restart resumes", getIdle(t, client, o.URL()).DidResume, !disabled)
	}
}

func TestAnOriginServesHTTP2OverTLSAndWithout(t *testing.T) {
	httptestutil.CheckLeaks(t)
	for _, overTLS := range []bool{true, false} {
		p := new(http.Protocols)
		p.SetHTTP2(overTLS)
		p.SetUnencryptedHTTP2(!overTLS)
		opts := httptestutil.OriginOptions{Protocols: p}
		if overTLS {
			opts.CA = httptestutil.NewCA(t)
		}
		o := httptestutil.NewOrigin(t, opts)
		client := newClient(t, o.ClientTLS(), func(tr *http.Transport) { tr.Protocols = p })
		wantEqual(t, "protocol", echo(t, client, o.URL()).Proto, "HTTP/2.0")
		seen := echo(t, client, o.URL())
		wantEqual(t, "conn", seen.Conn, 1)
		wantEqual(t, "seq", seen.Seq, 2)
		o.CloseIdle()
		o.WaitOpenConns(0)
	}
}

func TestAnOriginListensOnIPv6AndOnAUnixSocket(t *testing.T) {
	for _, network := range []string{"tcp6", "unix"} {
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Network: network})
		client := newClient(t, nil, func(tr *http.Transport) { tr.DialContext = o.Dial })
		seen := echo(t, client, o.URL())
		wantEqual(t, network+" conn", seen.Conn, 1)
		if network == "tcp6" && !strings.HasPrefix(seen.Host, "[::1]:") {
			t.Errorf("host %q is not IPv6", seen.Host)
		}
	}
}

func TestCloseIdleClosesWhatTheClientHasReadToItsEnd(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	client := newClient(t, nil)
	echo(t, client, o.URL())
	o.CloseIdle()
	wantEqual(t, "open connections", o.OpenConns(), 0)
}

func TestCloseIdleSparesAConnectionInUse(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(entered)
			<-leave
			httptestutil.Echo(w, r)
		}),
	})
	client := newClient(t, nil)
	ended := make(chan error)
	go func() {
		_, _, err := tryGet(t, client, o.URL())
		ended <- err
	}()
	<-entered
	o.CloseIdle()
	wantEqual(t, "open connections", o.OpenConns(), 1)
	close(leave)
	if err := <-ended; err != nil {
		t.Errorf("the request under way failed: %v", err)
	}
}

func TestCloseConnsAndResetConnsCutAConnectionInUse(t *testing.T) {
	for name, cut := range map[string]func(*httptestutil.Origin){
		"close": (*httptestutil.Origin).CloseConns,
		"reset": (*httptestutil.Origin).ResetConns,
	} {
		t.Run(name, func(t *testing.T) {
			httptestutil.CheckLeaks(t)
			entered := make(chan struct{})
			o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{
				Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					close(entered)
					<-r.Context().Done()
				}),
			})
			client := newClient(t, nil)
			failed := make(chan error)
			go func() {
				_, _, err := tryGet(t, client, o.URL())
				failed <- err
			}()
			<-entered
			cut(o)
			if err := <-failed; err == nil {
				t.Error("the request succeeded")
			}
			wantEqual(t, "open connections", o.OpenConns(), 0)
		})
	}
}

func TestAStoppedOriginRefusesAndARestartedOneServesOnTheSameAddress(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	client := newClient(t, nil)
	getIdle(t, client, o.URL())
	o.Stop()
	if _, _, err := tryGet(t, client, o.URL()); err == nil {
		t.Error("a stopped origin answered")
	}
	o.Start()
	seen := getIdle(t, client, o.URL())
	wantEqual(t, "conn", seen.Conn, 2)
	o.Restart()
	wantEqual(t, "open connections after a restart", o.OpenConns(), 0)
	wantEqual(t, "conn", getIdle(t, client, o.URL()).Conn, 3)
}

func TestAnOriginRemembersTheLastThousandRequests(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	client := newClient(t, nil)
	for i := range 2100 {
		echo(t, client, fmt.Sprintf("%s/%d", o.URL(), i))
	}
	seen := o.Seen()
	wantEqual(t, "remembered", len(seen), 1000)
	wantEqual(t, "oldest", seen[0].Target, "/1100")
	wantEqual(t, "newest", seen[999].Target, "/2099")
	wantEqual(t, "requests", o.Requests(), 2100)
}
