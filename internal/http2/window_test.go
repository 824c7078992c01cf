package http2

import (
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	xhttp2 "golang.org/x/net/http2"
)

// The server opens the window only for bytes that it has got. So another upload must use the window of bytes that were not
// sent.
func TestTheWindowOfACanceledUploadIsAnothers(t *testing.T) {
	connTestWith(t, Config{}, 1<<10, func(b *bench) {
		b.server.Settings()
		ctx, cancel := context.WithCancel(b.t.Context())
		defer cancel()
		const frame = record - frameHead
		uploads := []struct {
			ctx context.Context
			n   int
		}{{b.t.Context(), frame}, {ctx, frame}, {b.t.Context(), frame}, {b.t.Context(), frame}, {b.t.Context(), initialWindow - 4*frame}, {b.t.Context(), frame}}
		for _, u := range uploads {
			b.start(u.ctx, "POST", text(strings.Repeat("x", u.n)))
			synctest.Wait() // the first writes, the last waits for a window, the others for their turn
		}
		cancel()
		synctest.Wait()
		if _, err := io.CopyN(io.Discard, b.server.nc, int64(len(xhttp2.ClientPreface))); err != nil {
			b.t.Fatal(err)
		}
		framer := xhttp2.NewFramer(io.Discard, b.server.nc)
		var used int
		for used < initialWindow {
			f, err := framer.ReadFrame()
			if err != nil {
				b.t.Fatalf("%d bytes of the window have not been used: %v", initialWindow-used, err)
			}
			if f.Header().Type == xhttp2.FrameData {
				used += int(f.Header().Length)
			}
		}
	})
}
