package http2

import (
	"fmt"
	"io"
	"testing"
	"testing/synctest"

	"github.com/peerpool/peerpool/internal/exchange"
	xhttp2 "golang.org/x/net/http2"
)

// A response that has come completely does not wait for the rest of the frame behind it.
func TestAResponseDoesNotWaitForTheFrameBehindIt(t *testing.T) {
	const unknown = xhttp2.FrameType(0xbb)
	for _, length := range []int{2, 8, 9, 15, 16, 255, 256, 0x0901, 0x3fff} {
		for _, have := range []int{0, length - 1} {
			t.Run(fmt.Sprintf("%d of %d bytes", have, length), func(t *testing.T) {
				connTest(t, Config{}, func(b *bench) {
					b.server.Settings()
					r := b.start(b.t.Context(), "GET", nil)
					stream := b.request()
					head := b.server.Encode(":status: 204")
					const ends = xhttp2.FlagHeadersEndStream | xhttp2.FlagHeadersEndHeaders
					sent := append(appendFrame(nil, len(head), xhttp2.FrameHeaders, ends, stream), head...)
					sent = append(appendFrame(sent, length, unknown, 0, 0), make([]byte, have)...)
					if _, err := b.server.nc.Write(sent); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
					select {
					case <-r.done:
					default:
						t.Error("the response has come, and is not there")
						b.server.nc.Write(make([]byte, length-have))
					}
					io.Copy(io.Discard, r.response().Body)
					r.ended(exchange.Reusable)
				})
			})
		}
	}
}
