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
)

// stalled sends three requests to a server that reads nothing more after their heads, so that the connection is full: an
// upload of unknown length, which has filled it, a GET whose head has come, and a GET that is unanswered.
func stalled(t *testing.T, tr *peerpool.Transport, test func(h *host, c *conn, upload *answered, open *http.Response, ctx context.CancelFunc, waiting *answered)) {
	t.Helper()
	bubbleOver(t, 4<<10, tr, func(h *host) {
		warm := h.send("GET", "warm", nil)
		c := h.accept()
		c.MaxStreams(100)
		c.Window(0, 1<<30)
		c.Respond(c.request().Stream, 200, "warm")
		warm.gets("warm")
		open, _ := h.open(c, "open")
		ctx, cancel := context.WithCancel(h.t.Context())
		defer cancel()
		waiting := h.sendContext(ctx, "GET", "waiting", nil)
		c.request()
		upload := h.send("POST", "upload", io.MultiReader(strings.NewReader(strings.Repeat("u", 60_000))))
		synctest.Wait()
		test(h, c, upload, open, cancel, waiting)
	})
}

// within runs f, which must return before the time is up.
func within(t *testing.T, most time.Duration, what string, f func()) {
	t.Helper()
	start := time.Now()
	f()
	if took := time.Since(start); took > most {
		t.Errorf("%s took %v", what, took)
	}
}

// A connection is full because its server does not read. Such a connection delays no caller that wants to end its exchange.
func TestAFullConnectionHoldsUpNoCloseAndNoCancellation(t *testing.T) {
	stalled(t, &peerpool.Transport{}, func(h *host, c *conn, upload *answered, open *http.Response, cancel context.CancelFunc, waiting *answered) {
		within(h.t, 0, "closing a response", func() { open.Body.Close() })
		within(h.t, 0, "a cancellation", func() {
			cancel()
			waiting.ended()
		})
		if !errors.Is(waiting.err, context.Canceled) {
			h.t.Errorf("%v", waiting.err)
		}
		within(h.t, 0, "Stats", func() { h.Stats() })
		within(h.t, 0, "CloseIdleConnections", h.CloseIdleConnections)
		if upload.over() {
			h.t.Errorf("the upload has ended: %v", upload.err)
		}
		c.Close()
		upload.fails("")
	})
}

// The Transport reads what has arrived even if it can write nothing.
func TestAFullConnectionIsReadFrom(t *testing.T) {
	stalled(t, &peerpool.Transport{}, func(h *host, c *conn, upload *answered, open *http.Response, cancel context.CancelFunc, waiting *answered) {
		c.Respond(5, 200, "though nobody reads the upload")
		waiting.gets("though nobody reads the upload")
		c.Data(3, "more", true)
		body, err := io.ReadAll(open.Body)
		if string(body) != "more" || err != nil {
			h.t.Errorf("%q, %v", body, err)
		}
		open.Body.Close()
		c.Close()
		upload.fails("")
	})
}

// Shutdown waits for no longer than its context, and ends a connection that is full.
func TestAFullConnectionDoesNotHoldUpShutdown(t *testing.T) {
	stalled(t, &peerpool.Transport{}, func(h *host, c *conn, upload *answered, open *http.Response, cancel context.CancelFunc, waiting *answered) {
		ctx, stop := context.WithTimeout(h.t.Context(), time.Second)
		defer stop()
		within(h.t, 2*time.Second, "Shutdown", func() { h.Shutdown(ctx) })
		open.Body.Close()
		cancel()
		waiting.ended()
		c.Close()
		upload.fails("")
	})
}

// A request's body that blocks in Read holds up only its own request, and not the end of that.
func TestABodyThatBlocksHoldsUpNoOther(t *testing.T) {
	bubble(t, &peerpool.Transport{}, func(h *host) {
		r, w := io.Pipe()
		blocked := h.send("POST", "blocked", r)
		c := h.accept()
		c.MaxStreams(100)
		stream := c.request().Stream
		h.works(c)
		resp, _ := h.open(c, "open")
		within(h.t, 0, "closing a response", func() { resp.Body.Close() })
		ctx, cancel := context.WithCancel(h.t.Context())
		waiting := h.sendContext(ctx, "GET", "waiting", nil)
		c.request()
		within(h.t, 0, "a cancellation", func() {
			cancel()
			waiting.ended()
		})
		c.Respond(stream, 200, "enough")
		blocked.gets("enough")
		w.Close()
		h.works(c)
	})
}

// A connection that fails ends every exchange on it, wherever they are blocked.
func TestTheEndOfAConnectionReachesAll(t *testing.T) {
	stalled(t, &peerpool.Transport{}, func(h *host, c *conn, upload *answered, open *http.Response, cancel context.CancelFunc, waiting *answered) {
		read := make(chan error)
		go func() {
			_, err := io.ReadAll(open.Body)
			read <- err
		}()
		synctest.Wait()
		c.Close()
		h.ln.Close() // no second try
		if err := <-read; err == nil {
			h.t.Error("a response that broke off has been read to its end")
		}
		open.Body.Close()
		upload.fails("")
		waiting.fails("")
	})
}
