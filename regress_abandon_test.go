package peerpool_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"golang.org/x/net/http2"
)

// A caller who forgets to close a body, but not to end its context, costs net/http no connection.

func TestAResponseWhoseContextHasEndedGivesItsPlaceBack(t *testing.T) {
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		req, cancel := h.cancelable("")
		var resp *http.Response
		go func() { resp, _ = h.RoundTrip(req) }()
		p := h.welcome()
		r := p.request()
		p.Head(r.Stream, 200, false)
		synctest.Wait()
		cancel(context.Canceled)
		synctest.Wait()
		if n := h.Stats().Active; n != 0 {
			t.Errorf("%d active although nobody reads", n)
		}
		p.reset(r.Stream, http2.ErrCodeCancel)
		h.works(p)
		resp.Body.Close()
	})
}

func TestAnHTTP1ResponseWhoseContextHasEndedGivesItsPlaceBack(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Handler: handler})
	s := observe(t, &peerpool.Transport{})
	ctx, cancel := context.WithCancel(t.Context())
	resp, err := s.RoundTrip(newRequest(t, "GET", origin.URL(), nil).WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	s.await("nothing in use, although nobody reads", func(st peerpool.Stats) bool { return st.Active == 0 })
	s.closes("canceled", 1)
	resp.Body.Close()
}
