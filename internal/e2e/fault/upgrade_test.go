package fault_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// converse talks to the echo, by lines, until the end that it makes.
func converse(t *testing.T, rwc io.ReadWriteCloser) {
	t.Helper()
	defer rwc.Close()
	lines := bufio.NewReader(rwc)
	wantLine(t, lines, "hello\n")
	for i := range 50 {
		line := fmt.Sprintf("%d %s\n", i, strings.Repeat("x", i*100))
		if _, err := io.WriteString(rwc, line); err != nil {
			t.Fatal(err)
		}
		wantLine(t, lines, line)
	}
}

func wantLine(t *testing.T, r *bufio.Reader, want string) {
	t.Helper()
	if got, err := r.ReadString('\n'); got != want {
		t.Fatalf("got %q, %v; want %q", got, err, want)
	}
}

func TestAnUpgradeHandsTheConnectionToTheCaller(t *testing.T) {
	for name, opts := range map[string]httptestutil.OriginOptions{
		"plain": {}, "TLS": {CA: httptestutil.NewCA(t)},
	} {
		t.Run(name, func(t *testing.T) {
			httptestutil.CheckLeaks(t)
			opts.Handler = http.HandlerFunc(testkit.EchoUpgrade)
			origin := httptestutil.NewOrigin(t, opts)
			s := testkit.Observe(t, &peerpool.Transport{TLSClientConfig: origin.ClientTLS()})
			s.Get(origin.URL()) // the upgrade shall come on a reused connection
			ctx, cancel := context.WithCancel(t.Context())
			resp, err := s.RoundTrip(testkit.Upgrading(t, origin.URL()).WithContext(ctx))
			if err != nil {
				t.Fatal(err)
			}
			cancel() // it ends the exchange, and that is over
			if st := s.Stats(); resp.StatusCode != 101 || st.Hijacked != 1 || st.Active != 0 || st.Idle != 0 {
				t.Errorf("%s, %+v", resp.Status, st)
			}
			s.CloseIdleConnections()
			converse(t, resp.Body.(io.ReadWriteCloser))
			s.Get(origin.URL())
			if n := origin.Conns(); n != 2 {
				t.Errorf("%d connections, want one more after the upgrade", n)
			}
		})
	}
}

func TestAnUpgradedConnectionCanBeHalfClosed(t *testing.T) {
	httptestutil.CheckLeaks(t)
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Handler: http.HandlerFunc(testkit.EchoUpgrade)})
	s := testkit.Observe(t, &peerpool.Transport{})
	resp, err := s.RoundTrip(testkit.Upgrading(t, origin.URL()))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	rw := resp.Body.(interface {
		io.ReadWriteCloser
		CloseWrite() error
	})
	io.WriteString(rw, "the last word")
	if err := rw.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(rw); string(got) != "hello\nthe last word" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestAnUpgradePassesThroughAReverseProxy(t *testing.T) {
	httptestutil.CheckLeaks(t)
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Handler: http.HandlerFunc(testkit.EchoUpgrade)})
	s := testkit.Observe(t, &peerpool.Transport{})
	front := reverseProxy(t, s, origin.URL())

	conn, err := net.Dial("tcp", strings.TrimPrefix(front, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != 101 {
		t.Fatalf("%v, %v", resp, err)
	}
	converse(t, struct {
		io.Reader
		io.WriteCloser
	}{in, conn})
	s.Await("the upgraded connection is accounted for", func(st peerpool.Stats) bool { return st.Hijacked == 1 })
}

func TestAReverseProxyServesOverPooledConnections(t *testing.T) {
	httptestutil.CheckLeaks(t)
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Handler: http.HandlerFunc(testkit.Digest)})
	s := testkit.Observe(t, &peerpool.Transport{})
	front := reverseProxy(t, s, origin.URL())
	client := &http.Client{Transport: new(http.Transport)}
	defer client.CloseIdleConnections()
	for i := range 20 {
		text := strings.Repeat("proxied ", i*1000)
		resp, err := client.Post(front, "text/plain", strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := testkit.ReadBody(t, resp), testkit.DigestOf(text, int64(len(text))); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if n := origin.Conns(); n != 1 {
		t.Errorf("%d connections behind the proxy, want 1", n)
	}
}

// reverseProxy starts a proxy in front of target and returns its URL.
func reverseProxy(t *testing.T, rt http.RoundTripper, target string) string {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(&httputil.ReverseProxy{
		Transport: rt,
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(u) },
	})
	t.Cleanup(front.Close)
	return front.URL
}
