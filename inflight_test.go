package peerpool

//lint:file-ignore SA1019 Request.Cancel and CancelRequest are deprecated, and work all the same

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/nettest"
)

var errEnough = errors.New("enough of it")

func wantNoneListed(t *testing.T, tr *Transport) {
	t.Helper()
	if n := tr.core.inflight.Len(); n != 0 {
		t.Errorf("%d requests are still listed", n)
	}
}

// sweptByHand returns a Transport that sweeps when the test tells it to.
func sweptByHand(t *testing.T) (tr *Transport, sweep func()) {
	t.Helper()
	tr = peerTransport(t, &Transport{})
	return tr, tr.use().inflight.ByHand()
}

// halting is an origin that answers nothing at /head, and half a body at /body.
func halting(t *testing.T) *httptestutil.Origin {
	return httptestutil.NewOrigin(t, httptestutil.OriginOptions{Handler: http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/head":
				<-r.Context().Done()
			case "/body":
				w.Header().Set("Content-Length", "8")
				_, _ = io.WriteString(w, "half")
				w.(http.Flusher).Flush()
				<-r.Context().Done()
			}
		})})
}

// heard is a context that counts its listeners. It has a Done channel of its own, because package context would otherwise
// go past it.
type heard struct {
	context.Context
	done      chan struct{}
	listeners atomic.Int32
}

func newHeard(ctx context.Context) *heard {
	h := &heard{Context: ctx, done: make(chan struct{})}
	context.AfterFunc(ctx, func() { close(h.done) })
	return h
}

func (h *heard) Done() <-chan struct{} { return h.done }

func (h *heard) AfterFunc(f func()) func() bool {
	h.listeners.Add(1)
	stop := context.AfterFunc(h.Context, f)
	return func() bool {
		h.listeners.Add(-1)
		return stop()
	}
}

// hearable returns a GET whose context can be canceled.
func hearable(t *testing.T, target string) (*http.Request, *heard, context.CancelCauseFunc) {
	t.Helper()
	req := peerRequest(t, target, nil)
	ctx, cancel := context.WithCancelCause(req.Context())
	t.Cleanup(func() { cancel(nil) })
	h := newHeard(ctx)
	return req.WithContext(h), h, cancel
}

func wantListeners(t *testing.T, h *heard, want int32, when string) {
	t.Helper()
	if n := h.listeners.Load(); n != want {
		t.Errorf("%s: %d listen to the context, want %d", when, n, want)
	}
}

func wantUnderWay(t *testing.T, ended <-chan error) {
	t.Helper()
	select {
	case err := <-ended:
		t.Fatalf("ended already: %v", err)
	default:
	}
}

func TestNobodyListensToARequestInItsFirstMoment(t *testing.T) {
	o := halting(t)
	tr, sweep := sweptByHand(t)
	sweep()
	for range 3 {
		req, h, _ := hearable(t, o.URL()+"/")
		if err := peerTry(tr, req); err != nil {
			t.Fatal(err)
		}
		wantListeners(t, h, 0, "at the end")
		sweep()
	}
	req, h, cancel := hearable(t, o.URL()+"/head")
	ended := peerAsync(tr, req)
	o.WaitRequests(4)
	sweep()
	wantListeners(t, h, 0, "after one sweep")
	sweep()
	wantListeners(t, h, 1, "after two")
	sweep()
	wantListeners(t, h, 1, "after three")
	cancel(errEnough)
	if err := peerReceive(t, ended, "the request has ended"); err != errEnough {
		t.Errorf("got %v", err)
	}
	wantNoneListed(t, tr)
}

func TestARequestThatIsCanceledInItsFirstMomentEndsWithTheSweep(t *testing.T) {
	for _, path := range []string{"/head", "/body"} {
		t.Run(path, func(t *testing.T) {
			o := halting(t)
			tr, sweep := sweptByHand(t)
			req, _, cancel := hearable(t, o.URL()+path)
			ended := peerAsync(tr, req)
			o.WaitRequests(1)
			cancel(errEnough)
			sweep()
			sweep()
			if err := peerReceive(t, ended, "the request has ended"); err != errEnough && path == "/head" {
				t.Errorf("got %v", err)
			} else if !errors.Is(err, errEnough) {
				t.Errorf("got %v", err)
			}
			nettest.Eventually(t, "its connection is closed", func() bool { return tr.Stats().Closes["canceled"] == 1 })
			wantNoneListed(t, tr)
		})
	}
}

// When no request is left to listen to, no further sweep comes.
func TestTheSweepComesByItself(t *testing.T) {
	o := halting(t)
	tr := peerTransport(t, &Transport{})
	f := &tr.use().inflight
	quiet := func() bool { return !f.Sweeping() }
	for i := range 3 {
		req, h, cancel := hearable(t, o.URL()+"/head")
		ended := peerAsync(tr, req)
		o.WaitRequests(i + 1)
		nettest.Eventually(t, "somebody listens", func() bool { return h.listeners.Load() == 1 })
		nettest.Eventually(t, "no sweep is to come, though the request is under way", quiet)
		wantUnderWay(t, ended)
		cancel(errEnough)
		if err := peerReceive(t, ended, "the request has ended"); err != errEnough {
			t.Errorf("got %v", err)
		}
	}
	for range 20 {
		req, _, _ := hearable(t, o.URL()+"/")
		if err := peerTry(tr, req); err != nil {
			t.Fatal(err)
		}
	}
	nettest.Eventually(t, "no sweep is to come to an idle Transport", quiet)
}

func TestReadingABodyNoticesThatTheContextHasEndedBeforeAnybodyListens(t *testing.T) {
	o := halting(t)
	tr, _ := sweptByHand(t)
	req, _, cancel := hearable(t, o.URL()+"/body")
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	cancel(errEnough)
	if got, err := io.ReadAll(resp.Body); err != errEnough {
		t.Errorf("got %q and error %v", got, err)
	}
	resp.Body.Close()
	if st := tr.Stats(); st.Active != 0 || st.Closes["canceled"] != 1 {
		t.Errorf("%+v", st)
	}
}

func TestAResponseThatNobodyReadsIsGivenUpWithTheSweep(t *testing.T) {
	o := halting(t)
	tr, sweep := sweptByHand(t)
	req, _, cancel := hearable(t, o.URL()+"/body")
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	cancel(errEnough)
	sweep()
	sweep()
	nettest.Eventually(t, "nothing is in use", func() bool { return tr.Stats().Active == 0 })
	wantNoneListed(t, tr)
	resp.Body.Close()
}

func TestCancelRequestNeedsNoSweep(t *testing.T) {
	o := halting(t)
	tr, _ := sweptByHand(t)
	tr.CancelRequest(nil) // does nothing, as with net/http
	req, _, _ := hearable(t, o.URL()+"/head")
	ended := peerAsync(tr, req)
	o.WaitRequests(1)
	tr.CancelRequest(req)
	if err := peerReceive(t, ended, "the request has ended"); err != errCanceled {
		t.Errorf("got %v", err)
	}
	req, _, _ = hearable(t, o.URL()+"/body")
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	tr.CancelRequest(req)
	if st := tr.Stats(); st.Active != 0 || st.Closes["canceled"] != 2 {
		t.Errorf("though nobody reads the response: %+v", st)
	}
	resp.Body.Close()
}

func TestWaitingForAConnectionNeedsNoSweep(t *testing.T) {
	o := halting(t)
	tr, _ := sweptByHand(t)
	tr.MaxConnsPerHost = 1
	first, _, _ := hearable(t, o.URL()+"/head")
	held := peerAsync(tr, first)
	o.WaitRequests(1)
	req, _, cancel := hearable(t, o.URL()+"/")
	ended := peerAsync(tr, req)
	nettest.Eventually(t, "it waits", func() bool { return tr.Stats().Waiting == 1 })
	cancel(errEnough)
	if err := peerReceive(t, ended, "the request has ended"); err != errEnough {
		t.Errorf("got %v", err)
	}
	tr.CancelRequest(first)
	peerReceive(t, held, "the first has ended")
}

// The sweep came before the request had an exchange.
func TestARequestThatHasWaitedForItsConnectionListensFromTheStart(t *testing.T) {
	o := halting(t)
	tr, sweep := sweptByHand(t)
	tr.MaxConnsPerHost = 1
	first, _, _ := hearable(t, o.URL()+"/body")
	resp, err := tr.RoundTrip(first)
	if err != nil {
		t.Fatal(err)
	}
	req, h, cancel := hearable(t, o.URL()+"/head")
	ended := peerAsync(tr, req)
	nettest.Eventually(t, "it waits", func() bool { return tr.Stats().Waiting == 1 })
	sweep()
	sweep()
	DiscardConn(resp)
	resp.Body.Close()
	o.WaitRequests(2)
	wantListeners(t, h, 1, "under way")
	cancel(errEnough)
	if err := peerReceive(t, ended, "the request has ended"); err != errEnough {
		t.Errorf("got %v", err)
	}
}

func TestADeadlineThatIsNearIsHeededFromTheStart(t *testing.T) {
	o := halting(t)
	tr, _ := sweptByHand(t)
	for err := error(nil); ; { // until the first request is in time for its head
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Millisecond-1)
		h := newHeard(ctx)
		_, err = tr.RoundTrip(peerRequest(t, o.URL()+"/head", nil).WithContext(h))
		cancel()
		if err != context.DeadlineExceeded {
			t.Fatalf("got %v", err)
		}
		if o.Requests() > 0 {
			break
		}
	}
}

func TestARetryIsListenedToAnew(t *testing.T) {
	w := httptestutil.NewWire(t, httptestutil.PerConn(
		func(c *httptestutil.WireConn) {
			c.ReadRequest()
			c.Write(httptestutil.Response("1"))
			c.ReadRequest() // and close
		},
		func(c *httptestutil.WireConn) {
			c.ReadRequest()
			c.WaitClosed()
		},
	))
	tr, sweep := sweptByHand(t)
	if err := peerTry(tr, peerRequest(t, w.URL(), nil)); err != nil {
		t.Fatal(err)
	}
	req, h, cancel := hearable(t, w.URL())
	ended := peerAsync(tr, req)
	w.WaitRequests(3)
	sweep()
	sweep()
	wantListeners(t, h, 1, "at the second attempt")
	cancel(errEnough)
	if err := peerReceive(t, ended, "the request has ended"); err != errEnough {
		t.Errorf("got %v", err)
	}
	wantNoneListed(t, tr)
}

func TestListeningEndsWithTheRequest(t *testing.T) {
	httptestutil.CheckLeaks(t)
	o := halting(t)
	tr, sweep := sweptByHand(t)
	req, h, _ := hearable(t, o.URL()+"/body")
	req.Cancel = make(chan struct{})
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	sweep()
	sweep()
	wantListeners(t, h, 1, "after two sweeps")
	DiscardConn(resp) // or the rest of the body would be waited for
	resp.Body.Close()
	wantListeners(t, h, 0, "at the end")
	wantNoneListed(t, tr)
}

// Another request may have the same attempt and the same connection by then.
func TestCancelingARequestThatIsOverHarmsNoOther(t *testing.T) {
	o := halting(t)
	tr, sweep := sweptByHand(t)
	req, _, cancel := hearable(t, o.URL()+"/")
	req.Cancel = make(chan struct{})
	if err := peerTry(tr, req); err != nil {
		t.Fatal(err)
	}
	other, _, _ := hearable(t, o.URL()+"/body")
	resp, err := tr.RoundTrip(other)
	if err != nil {
		t.Fatal(err)
	}
	tr.CancelRequest(req)
	cancel(errEnough)
	sweep()
	sweep()
	if n, err := io.ReadFull(resp.Body, make([]byte, 4)); err != nil {
		t.Errorf("read %d bytes: %v", n, err)
	}
	if st := tr.Stats(); st.Opened != 1 || st.Active != 1 {
		t.Errorf("%+v", st)
	}
	resp.Body.Close()
}

// Very many requests share a few connections, and are canceled in every way and at every moment.
func TestOnlyThoseWhoAreCanceledAreCanceled(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	tr := peerTransport(t, &Transport{})
	one := func(n int) error {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		req := peerRequest(t, o.URL(), nil).WithContext(ctx)
		old := make(chan struct{})
		req.Cancel = old
		switch n % 5 {
		case 0:
			after := time.AfterFunc(time.Duration(n%40)*100*time.Microsecond, cancel)
			defer after.Stop()
		case 1:
			after := time.AfterFunc(time.Duration(n%40)*100*time.Microsecond, func() { tr.CancelRequest(req) })
			defer after.Stop()
		case 2:
			after := time.AfterFunc(time.Duration(n%40)*100*time.Microsecond, func() { close(old) })
			defer after.Stop()
		default:
			return peerTry(tr, req)
		}
		_ = peerTry(tr, req)
		return nil
	}
	const callers, requests = 8, 200
	failed := make(chan error, callers)
	for c := range callers {
		go func() {
			var err error
			for n := 0; n < requests && err == nil; n++ {
				err = one(c*requests + n*7)
			}
			failed <- err
		}()
	}
	for range callers {
		if err := peerReceive(t, failed, "a caller is done"); err != nil {
			t.Error(err)
		}
	}
	wantNoneListed(t, tr)
	nettest.Eventually(t, "nothing is in use", func() bool { return tr.Stats().Active == 0 })
}
