package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// givenUp sends one request that hangs at a hop, and returns the report. If a time limit ends the request before that, the
// next one is longer.
func givenUp(t *testing.T, at hop, args ...string) getReport {
	t.Helper()
	for limit := 100 * time.Millisecond; ; limit *= 4 {
		r := reported(t.Context(), t, exitFailed, append([]string{"-timeout", limit.String()}, args...)...)
		if r.GivenUpAt[at] == 1 || 4*limit > httptestutil.Bound {
			return r
		}
	}
}

// wantGivenUpAt sends one request that hangs, and compares the hop that the report names.
func wantGivenUpAt(t *testing.T, at hop, args ...string) {
	t.Helper()
	r := givenUp(t, at, args...)
	if len(r.GivenUpAt) != 1 || r.GivenUpAt[at] != 1 {
		t.Errorf("given up at %v, want %s", r.GivenUpAt, at)
	}
	wantIn(t, r.text(), "Where the requests were when they were given up:\n  1  "+string(at)+"  waited for "+hopMeanings[at])
}

func TestAHangIsReportedWithItsHop(t *testing.T) {
	silent := httptestutil.NewWire(t, func(c *httptestutil.WireConn) { _ = c.WaitClosed() })
	half := httptestutil.NewWire(t, httptestutil.ReplyThenStall("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"))
	wantGivenUpAt(t, hopTLS, "https://"+silent.Addr())
	wantGivenUpAt(t, hopResponse, silent.URL())
	wantGivenUpAt(t, hopBody, half.URL())
}

func TestAHangOfHTTP2IsReportedWithItsHop(t *testing.T) {
	o := http2Origin(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	wantGivenUpAt(t, hopResponse, "-k", o.URL())
}

func TestAHangOfAProxyIsReportedWithItsHop(t *testing.T) {
	w := &whereabouts{proxied: true}
	ctx, cancel := context.WithCancel(w.follow(t.Context()))
	silent := httptestutil.NewWire(t, func(c *httptestutil.WireConn) {
		c.ReadHead()
		cancel()
		_ = c.WaitClosed()
	})
	proxied := &getArgs{}
	tr := proxied.transport()
	defer tr.CloseIdleConnections()
	tr.Proxy = http.ProxyURL(mustParse(t, silent.URL()))
	l := &load{client: newClient(tr)}
	r := l.exchange(exchange{req: getRequest(ctx, t, "https://origin.test/"), body: io.Discard, where: w})
	if r.err == nil || w.now() != hopProxy {
		t.Errorf("error %v at %q, want one at %q", r.err, w.now(), hopProxy)
	}
}

func TestARequestThatWaitsForAConnectionIsInThePool(t *testing.T) {
	w := &whereabouts{}
	tr := (&getArgs{}).transport()
	dialing := make(chan struct{})
	tr.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		close(dialing)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	ctx, cancel := context.WithCancel(w.follow(t.Context()))
	go func() { // ends with the dial, which cancel lets fail
		<-dialing
		cancel()
	}()
	l := &load{client: newClient(tr)}
	if r := l.exchange(exchange{req: getRequest(ctx, t, "http://origin.test/"), where: w}); r.err == nil || w.now() != hopPool {
		t.Errorf("error %v at %q, want one at %q", r.err, w.now(), hopPool)
	}
}

func TestADialThatOutlivesItsUseDoesNotMoveTheRequest(t *testing.T) {
	w := &whereabouts{}
	w.enter(hopRequest, true)
	w.dial(hopTLS)
	if w.now() != hopRequest {
		t.Errorf("the request is at %q, want %q", w.now(), hopRequest)
	}
}

func TestAnInterruptedGetSaysWhereTheRequestsWere(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	w := httptestutil.NewWire(t, func(c *httptestutil.WireConn) {
		c.ReadRequest()
		interrupt()
		_ = c.WaitClosed()
	})
	r := reported(ctx, t, exitInterrupted, "-timeout", "0", w.URL())
	if r.GivenUpAt[hopResponse] != 1 {
		t.Errorf("given up at %v, want %s", r.GivenUpAt, hopResponse)
	}
}

func TestEveryHopSaysWhatARequestWaitsForThere(t *testing.T) {
	for _, at := range []hop{hopPool, hopResolve, hopConnect, hopProxy, hopTLS, hopHTTP2, hopRequest, hopResponse, hopBody} {
		if hopMeanings[at] == "" || strings.HasSuffix(hopMeanings[at], ".") {
			t.Errorf("%s means %q", at, hopMeanings[at])
		}
	}
}
