package fault_test

import (
	"context"
	"errors"

	"github.com/peerpool/peerpool/internal/testkit"

	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

func TestABodyThatLiesFailsItsRequestAlone(t *testing.T) {
	for _, lie := range testkit.Lies {
		t.Run(lie.Name, func(t *testing.T) {
			httptestutil.CheckLeaks(t)
			// The server answers when it has the whole request, which never comes.
			wire := httptestutil.NewWire(t, httptestutil.Replies(testkit.Ok))
			s := testkit.Observe(t, &peerpool.Transport{})
			s.Get(wire.URL())
			inner := lie.Body()
			body := testkit.TrackBody(inner)
			req := testkit.NewRequest(t, http.MethodPut, wire.URL(), body)
			if _, small := inner.(*strings.Reader); small {
				req.Body = io.NopCloser(inner)
				body.Close()
			}
			req.ContentLength = lie.Length
			resp, err := s.RoundTrip(req)
			switch {
			case err == nil && lie.Whole:
				testkit.ReadBody(t, resp)
			case err == nil:
				t.Fatalf("got %s", resp.Status)
			case !strings.HasSuffix(err.Error(), lie.Text) || lie.Is != nil && !errors.Is(err, lie.Is):
				t.Errorf("got %v, want %s", err, lie.Text)
			}
			body.WantClosed(t)
			s.Events.WantRetries(t)
			s.Get(wire.URL())
		})
	}
}

func TestABodyThatPanicsWhenClosedHasBeenSent(t *testing.T) {
	httptestutil.CheckLeaks(t)
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Handler: http.HandlerFunc(testkit.Digest)})
	s := testkit.Observe(t, &peerpool.Transport{})
	req := testkit.NewRequest(t, http.MethodPost, origin.URL(), testkit.Panicky{Reader: strings.NewReader("body"), OnClose: true})
	resp, err := s.RoundTrip(req)
	if err == nil {
		resp.Body.Close()
	} else if want := "peerpool: request body panicked: cannot be closed"; err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	s.Get(origin.URL())
}

func TestABlockedBodyHoldsUpNobodyElse(t *testing.T) {
	httptestutil.CheckLeaks(t)
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	s := testkit.Observe(t, &peerpool.Transport{})
	ctx, cancel := context.WithCancelCause(t.Context())
	body := testkit.NewHeldBody(testkit.Never{})
	ended := make(chan error, 1)
	go func() {
		_, err := s.RoundTrip(testkit.NewRequest(t, http.MethodPost, origin.URL(), body).WithContext(ctx))
		ended <- err
	}()
	origin.WaitRequests(1)
	for range 10 {
		s.Get(origin.URL())
	}
	cancel(testkit.ErrChangedMind)
	if err := <-ended; err != testkit.ErrChangedMind {
		t.Errorf("got %v", err)
	}
	body.WantClosed(t)
	s.Closes("canceled", 1)
}

func TestAWriteThatFailsFailsTheExchange(t *testing.T) {
	httptestutil.CheckLeaks(t)
	wire := httptestutil.NewWire(t, func(c *httptestutil.WireConn) {
		c.ReadHead()
		c.Reset()
	})
	s := testkit.Observe(t, &peerpool.Transport{})
	body := testkit.TrackBody(testkit.Zeros{})
	err := testkit.FailsToExchange(s, testkit.NewRequest(t, http.MethodPost, wire.URL(), body))
	if !err.Wrote || err.Started || err.Reused || err.Timeout() {
		t.Errorf("%+v", err)
	}
	body.WantClosed(t)
	s.Closes("error", 1)
}

func TestTheBodyIsClosedWhateverFailsFirst(t *testing.T) {
	refusing := errors.New("refused")
	for name, spoil := range map[string]func(*peerpool.Transport, *http.Request){
		"the request": func(_ *peerpool.Transport, r *http.Request) { r.Method = "NOT ONE" },
		"PeerFor": func(tr *peerpool.Transport, _ *http.Request) {
			tr.PeerFor = func(*http.Request) (*peerpool.Peer, error) { return nil, refusing }
		},
		"the resolver": func(tr *peerpool.Transport, r *http.Request) {
			names := new(httptestutil.Resolver)
			names.Fail("nowhere.test", refusing)
			tr.Resolver, r.URL.Host = names, "nowhere.test"
		},
		"the dial": func(_ *peerpool.Transport, r *http.Request) { r.URL.Host = "127.0.0.1:1" },
		"Shutdown": func(tr *peerpool.Transport, _ *http.Request) { tr.Shutdown(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			httptestutil.CheckLeaks(t)
			tr := &peerpool.Transport{}
			body := testkit.TrackBody(strings.NewReader("body"))
			req := testkit.NewRequest(t, http.MethodPost, "http://127.0.0.1", body)
			spoil(tr, req)
			resp, err := testkit.Observe(t, tr).RoundTrip(req)
			if err == nil {
				t.Fatalf("got %s", resp.Status)
			}
			body.WantClosed(t)
			if n := body.Closings(); n != 1 {
				t.Errorf("%v: the body was closed %d times", err, n)
			}
		})
	}
}
