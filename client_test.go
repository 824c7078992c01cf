package peerpool

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// startsGoroutines says whether a Client with a Timeout has started a goroutine for a request that is under way.
func startsGoroutines(t *testing.T, client *http.Client, target string) bool {
	t.Helper()
	client.Timeout = time.Minute
	resp, err := client.Get(target) // the body of the response is a part of the request
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	return bytes.Contains(stacks, []byte("setRequestCancel"))
}

// TestAClientKnowsTheTransportOfNewClient fails if a Go release makes the Client recognize such a Transport by something
// else than its name.
func TestAClientKnowsTheTransportOfNewClient(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	tr := peerTransport(t, New())
	if !startsGoroutines(t, &http.Client{Transport: tr}, o.URL()) {
		t.Error("a Client starts no goroutine for a Transport that it does not know: NewClient is not needed any more, or this test sees nothing")
	}
	if startsGoroutines(t, NewClient(tr), o.URL()) {
		t.Error("a Client starts a goroutine for the Transport of NewClient, as for one that it does not know")
	}
	if startsGoroutines(t, &http.Client{Transport: tr.HTTPTransport()}, o.URL()) {
		t.Error("a Client starts a goroutine for a front")
	}
}

// clientErrors are the errors of requests that run out of time: before the head of the response, in its body, and by a
// context.
func clientErrors(t *testing.T, client *http.Client) []error {
	t.Helper()
	client.Timeout = time.Second
	_, atHead := client.Get("http://example.test/silent")
	resp, inBody := client.Get("http://example.test/stalls")
	if inBody == nil {
		_, inBody = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, byContext := client.Do(peerRequest(t, "http://example.test/silent", nil).WithContext(ctx))
	return []error{atHead, inBody, byContext}
}

// net/http's Transport is the reference.
func TestAClientOfNewClientTimesOutLikeAnyOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := httptestutil.NewListener(0)
		httptestutil.NewWireWith(t, httptestutil.WireOptions{Listener: ln, Bound: time.Hour}, func(c *httptestutil.WireConn) {
			if req := c.ReadRequest(); req != nil && req.URL.Path == "/stalls" {
				c.Write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
			}
			c.WaitClosed()
		})
		theirs := &http.Transport{DialContext: ln.Dial}
		defer theirs.CloseIdleConnections()
		tr := &Transport{DialContext: ln.Dial}
		defer tr.CloseIdleConnections()
		want := clientErrors(t, &http.Client{Transport: theirs})
		for name, client := range map[string]*http.Client{
			"NewClient": NewClient(tr), "front": {Transport: tr.HTTPTransport()},
		} {
			for i, got := range clientErrors(t, client) {
				timeout, ok := errors.AsType[net.Error](got)
				if !ok || got.Error() != want[i].Error() || !timeout.Timeout() || reflect.TypeOf(got) != reflect.TypeOf(want[i]) ||
					errors.Is(got, context.DeadlineExceeded) != errors.Is(want[i], context.DeadlineExceeded) {
					t.Errorf("%s: error %d is %T %v, want %T %v", name, i, got, got, want[i], want[i])
				}
			}
		}
	})
}

func TestAClientOfNewClientPassesOnWhatAClientDoes(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/from" {
			http.Redirect(w, r, "/to", http.StatusFound)
			return
		}
		io.WriteString(w, r.URL.Path)
	})})
	tr := peerTransport(t, New())
	client := NewClient(tr)
	resp, err := client.Post(o.URL()+"/from", "text/plain", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if string(text) != "/to" || err != nil || resp.Request.URL.Path != "/to" {
		t.Errorf("got %q (%v) for %v", text, err, resp.Request.URL)
	}
	if s := tr.Stats(); s.Idle != 1 || s.Hits != 1 {
		t.Errorf("%d connections idle after %d hits, want 1 and 1", s.Idle, s.Hits)
	}
	client.CloseIdleConnections()
	if idle := tr.Stats().Idle; idle != 0 {
		t.Errorf("%d connections idle after CloseIdleConnections", idle)
	}
}
