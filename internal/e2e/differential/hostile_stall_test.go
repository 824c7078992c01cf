package differential_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool"
	"github.com/peerpool/peerpool/internal/testkit"
)

// stalled sends three requests to a server that reads nothing more after their heads, so that the connection is full: an
// upload of unknown length, which has filled it, a GET whose head has come, and a GET that is unanswered.
func stalled(t *testing.T, tr *peerpool.Transport, test func(h *testkit.Framed, c *testkit.Peer, upload *testkit.Call, open *http.Response, ctx context.CancelFunc, waiting *testkit.Call)) {
	t.Helper()
	testkit.FrameTestOver(t, 4<<10, tr, func(h *testkit.Framed) {
		c := h.Used()
		c.Window(0, 1<<30)
		open, _ := h.Open(c, "open")
		ctx, cancel := context.WithCancel(h.T.Context())
		defer cancel()
		waiting := h.Start(h.Request("GET", "waiting", nil).WithContext(ctx))
		c.Request()
		upload := h.Start(h.Request("POST", "upload", io.MultiReader(strings.NewReader(strings.Repeat("u", 60_000)))))
		synctest.Wait()
		test(h, c, upload, open, cancel, waiting)
	})
}

// within runs f, which must return before the time is up.
func within(t testing.TB, most time.Duration, what string, f func()) {
	t.Helper()
	start := time.Now()
	f()
	if took := time.Since(start); took > most {
		t.Errorf("%s took %v", what, took)
	}
}

// A connection is full because its server does not read. Such a connection delays no caller that wants to end its exchange.
func TestAFullConnectionHoldsUpNoCloseAndNoCancellation(t *testing.T) {
	stalled(t, &peerpool.Transport{}, func(h *testkit.Framed, c *testkit.Peer, upload *testkit.Call, open *http.Response, cancel context.CancelFunc, waiting *testkit.Call) {
		within(h.T, 0, "closing a response", func() { open.Body.Close() })
		within(h.T, 0, "a cancellation", func() {
			cancel()
			waiting.Ended()
		})
		if !errors.Is(waiting.Err, context.Canceled) {
			h.T.Errorf("%v", waiting.Err)
		}
		within(h.T, 0, "Stats", func() { h.Stats() })
		within(h.T, 0, "CloseIdleConnections", h.CloseIdleConnections)
		if upload.Over() {
			h.T.Errorf("the upload has ended: %v", upload.Err)
		}
		c.Close()
		upload.Fails("")
	})
}

// The Transport reads what has arrived even if it can write nothing.
func TestAFullConnectionIsReadFrom(t *testing.T) {
	stalled(t, &peerpool.Transport{}, func(h *testkit.Framed, c *testkit.Peer, upload *testkit.Call, open *http.Response, cancel context.CancelFunc, waiting *testkit.Call) {
		c.Respond(5, 200, "though nobody reads the upload")
		waiting.Gets("though nobody reads the upload")
		c.Data(3, "more", true)
		body, err := io.ReadAll(open.Body)
		if string(body) != "more" || err != nil {
			h.T.Errorf("%q, %v", body, err)
		}
		open.Body.Close()
		c.Close()
		upload.Fails("")
	})
}

// Shutdown waits for no longer than its context, and ends a connection that is full.
func TestAFullConnectionDoesNotHoldUpShutdown(t *testing.T) {
	stalled(t, &peerpool.Transport{}, func(h *testkit.Framed, c *testkit.Peer, upload *testkit.Call, open *http.Response, cancel context.CancelFunc, waiting *testkit.Call) {
		ctx, stop := context.WithTimeout(h.T.Context(), time.Second)
		defer stop()
		within(h.T, 2*time.Second, "Shutdown", func() { h.Shutdown(ctx) })
		open.Body.Close()
		cancel()
		waiting.Ended()
		c.Close()
		upload.Fails("")
	})
}

// A request's body that blocks in Read holds up only its own request, and not the end of that.
func TestABodyThatBlocksHoldsUpNoOther(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		r, w := io.Pipe()
		blocked := h.Start(h.Request("POST", "blocked", r))
		c := h.Welcome()
		stream := c.Request().Stream
		h.Works(c)
		resp, _ := h.Open(c, "open")
		within(h.T, 0, "closing a response", func() { resp.Body.Close() })
		ctx, cancel := context.WithCancel(h.T.Context())
		waiting := h.Start(h.Request("GET", "waiting", nil).WithContext(ctx))
		c.Request()
		within(h.T, 0, "a cancellation", func() {
			cancel()
			waiting.Ended()
		})
		c.Respond(stream, 200, "enough")
		blocked.Gets("enough")
		w.Close()
		h.Works(c)
	})
}

// A connection that fails ends every exchange on it, wherever they are blocked.
func TestTheEndOfAConnectionReachesAll(t *testing.T) {
	stalled(t, &peerpool.Transport{}, func(h *testkit.Framed, c *testkit.Peer, upload *testkit.Call, open *http.Response, cancel context.CancelFunc, waiting *testkit.Call) {
		read := make(chan error)
		go func() {
			_, err := io.ReadAll(open.Body)
			read <- err
		}()
		synctest.Wait()
		c.Close()
		h.Ln.Close() // no second try
		if err := <-read; err == nil {
			h.T.Error("a response that broke off has been read to its end")
		}
		open.Body.Close()
		upload.Fails("")
		waiting.Fails("")
	})
}
