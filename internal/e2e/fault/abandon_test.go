package fault_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"golang.org/x/net/http2"
)

// If a caller ends the context of a request but forgets to close its body, net/http does not lose the connection.

func TestAResponseWhoseContextHasEndedGivesItsPlaceBack(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		req, cancel := h.Cancelable("")
		var resp *http.Response
		go func() { resp, _ = h.RoundTrip(req) }()
		p := h.Welcome()
		r := p.Request()
		p.Head(r.Stream, 200, false)
		synctest.Wait()
		cancel(context.Canceled)
		synctest.Wait()
		if n := h.Stats().Active; n != 0 {
			t.Errorf("%d active although nobody reads", n)
		}
		p.ResetWith(r.Stream, http2.ErrCodeCancel)
		h.Works(p)
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
	s := testkit.Observe(t, &peerpool.Transport{})
	ctx, cancel := context.WithCancel(t.Context())
	resp, err := s.RoundTrip(testkit.NewRequest(t, "GET", origin.URL(), nil).WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	s.Await("nothing in use, although nobody reads", func(st peerpool.Stats) bool { return st.Active == 0 })
	s.Closes("canceled", 1)
	resp.Body.Close()
}
