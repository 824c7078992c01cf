package http2

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool/internal/exchange"
	xhttp2 "golang.org/x/net/http2"
)

var errSevered = errors.New("severed")

// severed is the direction to the server. A test can cut it while the other direction stays open.
type severed struct {
	io.Writer
	cut atomic.Bool
}

func (s *severed) Write(p []byte) (int, error) {
	if s.cut.Load() {
		return 0, errSevered
	}
	return s.Writer.Write(p)
}

// uploadFails starts a POST whose upload fails because the connection can no longer be written to.
func (b *bench) uploadFails() (r *run, stream uint32) {
	b.t.Helper()
	way := &severed{Writer: b.Conn.w}
	b.Conn.w = way
	body, caller := io.Pipe()
	r = b.start(b.t.Context(), http.MethodPost, body)
	b.server.Settings()
	stream = b.request()
	synctest.Wait()
	way.cut.Store(true)
	if _, err := io.WriteString(caller, "body"); err != nil {
		b.t.Fatal(err)
	}
	synctest.Wait()
	return r, stream
}

func TestWhatTheServerHasSaidCountsThoughTheUploadFailsFirst(t *testing.T) {
	for name, say := range map[string]func(s *server, stream uint32){
		"REFUSED_STREAM": func(s *server, stream uint32) { s.Reset(stream, xhttp2.ErrCodeRefusedStream) },
		"GOAWAY":         func(s *server, _ uint32) { s.GoAway(0, xhttp2.ErrCodeNo) },
	} {
		t.Run(name, func(t *testing.T) {
			connTest(t, Config{}, func(b *bench) {
				r, stream := b.uploadFails()
				r.pending()
				time.Sleep(drainWait / 2)
				say(b.server, stream)
				r.ended(exchange.EndError)
				if !r.Refused {
					t.Errorf("%+v, %v", r.Outcome, r.err)
				}
			})
		})
	}
	t.Run("a response", func(t *testing.T) {
		connTest(t, Config{}, func(b *bench) {
			r, stream := b.uploadFails()
			time.Sleep(drainWait / 2)
			b.server.Respond(stream, http.StatusRequestEntityTooLarge, "too much")
			if body, err := io.ReadAll(r.response().Body); r.resp.StatusCode != http.StatusRequestEntityTooLarge || string(body) != "too much" {
				t.Errorf("%s, %q, %v", r.resp.Status, body, err)
			}
		})
	})
}

func TestAnUploadThatFailsEndsAlsoIfTheServerSaysNothing(t *testing.T) {
	connTest(t, Config{}, func(b *bench) {
		r, _ := b.uploadFails()
		time.Sleep(2 * drainWait)
		r.ended(exchange.EndError)
		if r.err != errSevered || r.Refused || !r.Wrote {
			t.Errorf("%+v, %v", r.Outcome, r.err)
		}
	})
}
