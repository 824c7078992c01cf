package peerpool

import (
	"context"
	"crypto/tls"
	"io"
	"maps"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// endless is a body that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestARequestThatRunsOutOfTimeIsCountedWithTheLimitThatEndedIt(t *testing.T) {
	second := time.Second
	withPeer := func(opts PeerOptions) func(context.Context) (context.Context, context.CancelFunc) {
		return func(ctx context.Context) (context.Context, context.CancelFunc) {
			peer, err := NewPeer(opts)
			if err != nil {
				t.Error(err)
			}
			return WithPeer(ctx, peer), func() {}
		}
	}
	deadline := func(ctx context.Context) (context.Context, context.CancelFunc) {
		return context.WithTimeout(ctx, second)
	}
	deaf := func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	stalls := func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "beginning")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
	for name, c := range map[string]struct {
		tr     *Transport
		url    string           // "": http://a.test/
		serve  http.HandlerFunc // nil: reads nothing of the request's body, and does not answer
		within func(context.Context) (context.Context, context.CancelFunc)
		body   io.Reader
		http1  bool // over HTTP/1.1 alone
		want   TimeLimit
	}{
		"a deadline before the answer":    {tr: &Transport{}, serve: deaf, within: deadline, want: TimeLimitRequest},
		"a deadline within the body":      {tr: &Transport{}, serve: stalls, within: deadline, want: TimeLimitRequest},
		"ResponseHeaderTimeout":           {tr: &Transport{ResponseHeaderTimeout: second}, serve: deaf, want: TimeLimitResponseHeader},
		"ResponseHeaderTimeout of a peer": {tr: &Transport{}, serve: deaf, within: withPeer(PeerOptions{ResponseHeaderTimeout: &second}), want: TimeLimitResponseHeader},
		"BodyReadTimeout":                 {tr: &Transport{BodyReadTimeout: second}, serve: stalls, want: TimeLimitBodyRead},
		"BodyReadTimeout of a peer":       {tr: &Transport{}, serve: stalls, within: withPeer(PeerOptions{BodyReadTimeout: &second}), want: TimeLimitBodyRead},
		"BodyWriteTimeout":                {tr: &Transport{BodyWriteTimeout: second}, body: endless{}, want: TimeLimitBodyWrite},
		"BodyWriteTimeout of a peer":      {tr: &Transport{}, body: endless{}, within: withPeer(PeerOptions{BodyWriteTimeout: &second}), want: TimeLimitBodyWrite},
		"DialTimeout":                     {tr: &Transport{DialTimeout: second}, url: "http://never.test/", http1: true, want: TimeLimitDial},
		"ConnectTimeout of a peer":        {tr: &Transport{}, url: "http://never.test/", within: withPeer(PeerOptions{ConnectTimeout: &second}), http1: true, want: TimeLimitConnect},
		"TLSHandshakeTimeout":             {tr: &Transport{TLSHandshakeTimeout: second}, url: "https://silent.test/", http1: true, want: TimeLimitTLSHandshake},
	} {
		for _, protocol := range []string{"HTTP/1.1", "HTTP/2"} {
			if c.http1 && protocol != "HTTP/1.1" {
				continue
			}
			t.Run(name+" over "+protocol, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					protocols := new(http.Protocols)
					protocols.SetHTTP1(protocol == "HTTP/1.1")
					protocols.SetUnencryptedHTTP2(protocol == "HTTP/2")
					ln := httptestutil.NewListener(4 << 10)
					serve, over := c.serve, make(chan struct{})
					if serve == nil {
						serve = func(http.ResponseWriter, *http.Request) { <-over }
					}
					httptestutil.NewOrigin(t, httptestutil.OriginOptions{Listener: ln, Protocols: protocols, Handler: serve})
					defer func() {
						close(over)
						time.Sleep(time.Minute) // until the server has closed the connection
					}()
					tr, done := c.tr.Clone(), make(chan RequestDone, 1)
					tr.Protocols, tr.TLSClientConfig = protocols, &tls.Config{InsecureSkipVerify: true}
					tr.Observer = &Observer{RequestDone: func(_ context.Context, e RequestDone) { done <- e }}
					tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
						switch addr {
						case "never.test:80":
							<-ctx.Done()
							return nil, ctx.Err()
						case "silent.test:443":
							near, far := net.Pipe()
							t.Cleanup(func() { far.Close() })
							go io.Copy(io.Discard, far) // ends with the pipe
							return near, nil
						}
						return ln.Dial(ctx, network, addr)
					}
					tr = peerTransport(t, tr)
					ctx, cancel := t.Context(), func() {}
					if c.within != nil {
						ctx, cancel = c.within(ctx)
					}
					defer cancel()
					url := "http://a.test/"
					if c.url != "" {
						url = c.url
					}
					req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, c.body)
					if err != nil {
						t.Fatal(err)
					}
					resp, err := tr.RoundTrip(req)
					if err == nil {
						_, err = io.Copy(io.Discard, resp.Body)
						resp.Body.Close()
					}
					if err == nil {
						t.Fatal("the request has not run out of time")
					}
					if got := (<-done).TimeLimit; got != c.want {
						t.Errorf("the Observer is told of %q, want %q: %v", got, c.want, err)
					}
					want := map[TimeLimit]uint64{}
					for _, l := range TimeLimits() {
						want[l] = 0
					}
					want[c.want] = 1
					if got := tr.Stats().Timeouts; !maps.Equal(got, want) {
						t.Errorf("Stats counts %v, want %v", got, want)
					}
				})
			})
		}
	}
}
