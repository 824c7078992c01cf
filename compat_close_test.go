package peerpool

//lint:file-ignore SA1019 Request.Cancel and CancelRequest are deprecated, and work all the same

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/nettest"
)

func TestARegisteredProtocolServesItsScheme(t *testing.T) {
	tr := peerTransport(t, &Transport{})
	files := http.NewFileTransportFS(fstest.MapFS{"greeting": {Data: []byte("hello")}})
	tr.RegisterProtocol("file", files)
	resp, err := (&http.Client{Transport: tr}).Get("file:///greeting")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "hello" {
		t.Errorf("got %s %q and error %v", resp.Status, body, err)
	}
	if err := peerFail(t, tr, "ftp://example.test", nil); err.Error() != `unsupported protocol scheme "ftp"` {
		t.Errorf("another scheme: got %q", err)
	}
	if err := peerFail(t, tr.Clone(), "file:///greeting", nil); err.Error() != `unsupported protocol scheme "file"` {
		t.Errorf("a clone: got %q", err)
	}
}

// alternate is a RoundTripper that serves nothing, and counts.
type alternate struct {
	err          error
	asked, ended int
}

func (a *alternate) RoundTrip(*http.Request) (*http.Response, error) { a.asked++; return nil, a.err }
func (a *alternate) CloseIdleConnections()                           { a.ended++ }

func TestARegisteredProtocolMayPassARequestOn(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	tr := peerTransport(t, &Transport{})
	alt := &alternate{err: http.ErrSkipAltProtocol}
	tr.RegisterProtocol("http", alt)
	peerGet(t, tr, o.URL(), nil)
	alt.err = errors.New("mine, and it fails")
	if err := peerFail(t, tr, o.URL(), nil); !errors.Is(err, alt.err) {
		t.Errorf("got %v, want the error of the protocol", err)
	}
	if alt.asked != 2 || o.Requests() != 1 {
		t.Errorf("the protocol was asked %d times, and the origin %d times", alt.asked, o.Requests())
	}
}

func TestCloseIdleConnectionsReachesRegisteredProtocols(t *testing.T) {
	tr := peerTransport(t, &Transport{})
	alt := &alternate{}
	tr.RegisterProtocol("x", alt)
	tr.CloseIdleConnections()
	if alt.ended != 1 {
		t.Errorf("the protocol was told %d times", alt.ended)
	}
}

func TestAProtocolCannotBeRegisteredTwice(t *testing.T) {
	register := func(tr interface {
		RegisterProtocol(string, http.RoundTripper)
	}) (said any) {
		defer func() { said = recover() }()
		tr.RegisterProtocol("x", &alternate{})
		tr.RegisterProtocol("x", &alternate{})
		return nil
	}
	got, want := register(peerTransport(t, &Transport{})), register(&http.Transport{})
	if got == nil || fmt.Sprint(got) != fmt.Sprint(want) { // net/http's is an error since Go 1.27
		t.Errorf("RegisterProtocol panics with %v, net/http's with %v", got, want)
	}
}

// cancelable has the methods of both Transports.
type cancelable interface {
	http.RoundTripper
	CancelRequest(*http.Request)
}

// The ways to cancel a request that are older than contexts.
var oldCancels = map[string]func(cancelable, *http.Request) func(){
	"Request.Cancel": func(_ cancelable, req *http.Request) func() {
		cancel := make(chan struct{})
		req.Cancel = cancel
		return func() { close(cancel) }
	},
	"CancelRequest": func(rt cancelable, req *http.Request) func() {
		return func() { rt.CancelRequest(req) }
	},
}

// The test cancels at one point after the other.
func TestTheOldWaysToCancelReadAsWithNetHTTP(t *testing.T) {
	for how, arm := range oldCancels {
		for _, point := range []string{"dial", "head", "body"} {
			t.Run(how+", "+point, func(t *testing.T) {
				ours := canceledAt(t, point, arm, func(dial func(context.Context, string, string) (net.Conn, error)) cancelable {
					return peerTransport(t, &Transport{DialContext: dial})
				})
				theirs := canceledAt(t, point, arm, func(dial func(context.Context, string, string) (net.Conn, error)) cancelable {
					return &http.Transport{DialContext: dial}
				})
				if ours == nil || ours.Error() != theirs.Error() {
					t.Errorf("got %v, net/http says %v", ours, theirs)
				}
			})
		}
	}
}

// canceledAt sends a request, cancels it when it has come to that point, and returns its error.
func canceledAt(
	t *testing.T, point string, arm func(cancelable, *http.Request) func(),
	newTransport func(func(context.Context, string, string) (net.Conn, error)) cancelable,
) error {
	t.Helper()
	reached := make(chan struct{}, 10)
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Handler: http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			if point == "body" {
				w.Header().Set("Content-Length", "10")
				_, _ = w.Write([]byte("half"))
				_ = http.NewResponseController(w).Flush()
			} else {
				reached <- struct{}{}
			}
			<-r.Context().Done()
		})})
	letGo := make(chan struct{})
	defer close(letGo)
	rt := newTransport(func(ctx context.Context, network, addr string) (net.Conn, error) {
		if point == "dial" {
			reached <- struct{}{}
			<-letGo
		}
		return o.Dial(ctx, network, addr)
	})
	req := peerRequest(t, o.URL(), nil)
	cancel := arm(rt, req)
	if point == "body" {
		resp, err := rt.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		cancel()
		_, err = io.Copy(io.Discard, resp.Body)
		o.WaitOpenConns(0)
		return err
	}
	got := make(chan error, 1)
	go func() { got <- peerTry(rt, req) }()
	peerReceive(t, reached, "the request is under way")
	cancel()
	return peerReceive(t, got, "the request returns")
}

// slowOrigin starts an origin whose answers to /slow wait for a value from the channel.
func slowOrigin(t *testing.T) (*httptestutil.Origin, chan struct{}) {
	t.Helper()
	proceed := make(chan struct{})
	return httptestutil.NewOrigin(t, httptestutil.OriginOptions{Handler: http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				select {
				case <-proceed:
				case <-r.Context().Done():
				}
			}
			httptestutil.Echo(w, r)
		})}), proceed
}

func TestCloseIdleConnectionsClosesThoseInUseWhenTheyComeBack(t *testing.T) {
	o, proceed := slowOrigin(t)
	tr := peerTransport(t, &Transport{})
	got := trySend(tr, peerRequest(t, o.URL()+"/slow", nil))
	o.WaitRequests(1)
	tr.CloseIdleConnections()
	proceed <- struct{}{}
	if err := peerReceive(t, got, "the request returns"); err != nil {
		t.Errorf("the request under way got %v", err)
	}
	o.WaitOpenConns(0)
	if s := tr.Stats(); s.Closes["close_idle"] != 1 || s.Idle != 0 {
		t.Errorf("the statistics are %+v", s)
	}
}

func TestCloseIdleConnectionsIsForgottenWithTheNextRequest(t *testing.T) {
	o, proceed := slowOrigin(t)
	tr := peerTransport(t, &Transport{})
	got := trySend(tr, peerRequest(t, o.URL()+"/slow", nil))
	o.WaitRequests(1)
	tr.CloseIdleConnections()
	peerGet(t, tr, o.URL(), nil)
	proceed <- struct{}{}
	if err := peerReceive(t, got, "the request returns"); err != nil {
		t.Errorf("the request under way got %v", err)
	}
	if s := tr.Stats(); s.Idle != 2 {
		t.Errorf("%d connections idle, want both", s.Idle)
	}
}

func TestShutdownLetsRequestsEndAndTakesNoNew(t *testing.T) {
	o, proceed := slowOrigin(t)
	tr := peerTransport(t, &Transport{})
	peerGet(t, tr, o.URL(), peerNew(t, PeerOptions{Group: "idle"}))
	got := trySend(tr, peerRequest(t, o.URL()+"/slow", nil))
	o.WaitRequests(2)

	impatient, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("not that long")
	cancel(cause)
	if err := tr.Shutdown(impatient); !errors.Is(err, cause) {
		t.Errorf("Shutdown returned %v while a request is under way, want the cause of its context", err)
	}
	o.WaitOpenConns(1) // that of the request
	body := &closeCounter{Reader: strings.NewReader("body")}
	req := peerRequest(t, o.URL(), nil)
	req.Method, req.Body, req.ContentLength = http.MethodPost, body, 4
	if err := peerTry(tr, req); !errors.Is(err, ErrClosed) || body.closed != 1 {
		t.Errorf("a new request got %v, and its body was closed %d times", err, body.closed)
	}

	patient := make(chan error, 1)
	go func() { patient <- tr.Shutdown(t.Context()) }()
	proceed <- struct{}{}
	if err := peerReceive(t, got, "the request returns"); err != nil {
		t.Errorf("the request under way got %v", err)
	}
	if err := peerReceive(t, patient, "Shutdown returns"); err != nil {
		t.Errorf("Shutdown returned %v", err)
	}
	o.WaitOpenConns(0)
	if s := tr.Stats(); s.Active+s.Idle+s.Dialing+s.Waiting != 0 || s.Closes["shutdown"] != 2 {
		t.Errorf("the statistics are %+v", s)
	}
	wantNoRoutes(t, tr)
}

// The resolver never returns.
func TestTheOldWaysToCancelEndARequestThatIsResolving(t *testing.T) {
	for how, arm := range oldCancels {
		t.Run(how, func(t *testing.T) {
			names := &httptestutil.Resolver{}
			t.Cleanup(names.Hold("a.test"))
			tr := peerTransport(t, &Transport{Resolver: names})
			req := peerRequest(t, "http://a.test/", nil)
			cancel := arm(tr, req)
			ended := peerAsync(tr, req)
			nettest.Eventually(t, "the name is looked up", func() bool { return names.Lookups("a.test") == 1 })
			cancel()
			if err := peerReceive(t, ended, "the request has ended"); err != errWaitCanceled {
				t.Errorf("got %v, want %v", err, errWaitCanceled)
			}
			wantNoneListed(t, tr)
		})
	}
}
