package http2

import (
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool/internal/exchange"
	xhttp2 "golang.org/x/net/http2"
)

// Servers that do what they must not do (RFC 9113 section 10.5), and what they lose by that.

// two starts two exchanges, on streams 1 and 3.
func (b *bench) two() (first, second *run) {
	b.t.Helper()
	b.watch()
	b.server.Settings()
	first, second = b.start(b.t.Context(), "GET", nil), nil
	b.request()
	second = b.start(b.t.Context(), "GET", nil)
	b.request()
	return first, second
}

// The server sends what it must not send on any stream. The connection ends.
func TestWhatCostsTheConnection(t *testing.T) {
	for name, c := range map[string]struct {
		send func(s *server)
		code xhttp2.ErrCode
	}{
		"HEADERS on a stream that was never opened":       {func(s *server) { s.Head(99, 200, true) }, xhttp2.ErrCodeProtocol},
		"HEADERS on a stream of the server's":             {func(s *server) { s.Head(2, 200, true) }, xhttp2.ErrCodeProtocol},
		"DATA on a stream that was never opened":          {func(s *server) { s.Data(99, "x", true) }, xhttp2.ErrCodeProtocol},
		"RST_STREAM on a stream that was never opened":    {func(s *server) { s.Reset(99, xhttp2.ErrCodeCancel) }, xhttp2.ErrCodeProtocol},
		"WINDOW_UPDATE on a stream that was never opened": {func(s *server) { s.Window(99, 1) }, xhttp2.ErrCodeProtocol},
		"a WINDOW_UPDATE of nothing on the connection":    {func(s *server) { s.Raw(xhttp2.FrameWindowUpdate, 0, 0, make([]byte, 4)) }, xhttp2.ErrCodeProtocol},
		"windows of streams that overflow": {func(s *server) {
			s.Window(1, 1<<31-1-initialWindow)
			s.Settings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: initialWindow + 1})
		}, xhttp2.ErrCodeFlowControl},
		"padding longer than HEADERS": {func(s *server) {
			s.Raw(xhttp2.FrameHeaders, xhttp2.FlagHeadersEndHeaders|xhttp2.FlagHeadersPadded, 1, nil)
		}, xhttp2.ErrCodeFrameSize},
		"DATA that says it is padded and is empty": {func(s *server) {
			s.Raw(xhttp2.FrameData, xhttp2.FlagDataPadded, 1, nil)
		}, xhttp2.ErrCodeFrameSize},
		"a dynamic table larger than we allow": {func(s *server) {
			s.Raw(xhttp2.FrameHeaders, xhttp2.FlagHeadersEndHeaders, 1, []byte{0x3f, 0xe2, 0x1f}) // 4097 bytes
		}, xhttp2.ErrCodeCompression},
		"CONTINUATION without an end, of nothing": {func(s *server) {
			s.Raw(xhttp2.FrameHeaders, 0, 1, s.Encode(":status: 200"))
			for range (2*(4096+typicalFieldsExtra)+blockSlack)/frameCost + 1 {
				s.Raw(xhttp2.FrameContinuation, 0, 1, nil)
			}
		}, xhttp2.ErrCodeProtocol},
		"ENABLE_PUSH that is neither": {func(s *server) {
			s.Settings(xhttp2.Setting{ID: xhttp2.SettingEnablePush, Val: 2})
		}, xhttp2.ErrCodeProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			connTest(t, Config{MaxResponseHeaderBytes: 4096}, func(b *bench) {
				first, second := b.two()
				synctest.Wait()
				c.send(b.server)
				for _, r := range []*run{first, second} {
					r.ended(exchange.EndError)
					if r.err != connectionError(c.code) || !r.Malformed {
						t.Errorf("%v, %+v", r.err, r.Outcome)
					}
				}
				f := b.server.Await(xhttp2.FrameGoAway, 0)
				if f == nil || f.Code != c.code {
					t.Errorf("the server is told %+v, want %v", f, c.code)
				}
				if reasons, _ := b.said(); len(reasons) != 1 || reasons[0] != ReasonProtocol {
					t.Errorf("%q", reasons)
				}
			})
		})
	}
}

// The server sends what is wrong within one response. Only that stream ends.
func TestWhatCostsItsStream(t *testing.T) {
	for name, c := range map[string]struct {
		method string
		send   func(s *server)
		text   string
	}{
		"a head over the limit": {"GET", func(s *server) {
			s.Head(1, 200, true, "a: "+strings.Repeat("x", 5000))
		}, errHeaderList.Error()},
		"a bomb of indexed fields": {"GET", func(s *server) {
			block := s.Encode(":status: 200", "a: "+strings.Repeat("x", 3000))
			s.Raw(xhttp2.FrameHeaders, xhttp2.FlagHeadersEndStream, 1, block)
			s.Raw(xhttp2.FrameContinuation, xhttp2.FlagContinuationEndHeaders, 1, []byte(strings.Repeat("\xbe", 10000)))
		}, errHeaderList.Error()},
		"a status of two digits":        {"GET", func(s *server) { s.Headers(1, true, ":status: 20") }, errBadStatus.Error()},
		"an empty status":               {"GET", func(s *server) { s.Headers(1, true, ":status:") }, errNoStatus.Error()},
		"101":                           {"GET", func(s *server) { s.Headers(1, false, ":status: 101") }, errSwitching.Error()},
		"an empty name":                 {"GET", func(s *server) { s.Headers(1, true, ":status: 200", ": x") }, "invalid"},
		"DATA of an answer to HEAD":     {"HEAD", func(s *server) { s.Head(1, 200, false); s.Data(1, "x", true) }, ""},
		"a pseudo-field in the trailer": {"GET", func(s *server) { s.Head(1, 200, false); s.Headers(1, true, ":status: 200") }, errPseudoTrailer.Error()},
		"DATA of a 204":                 {"GET", func(s *server) { s.Head(1, 204, false); s.Data(1, "x", true) }, errBodiless.Error()},
		"DATA beyond the length":        {"GET", func(s *server) { s.Head(1, 200, false, "content-length: 1"); s.Data(1, "xx", true) }, errTooMuchData.Error()},
		"HEADERS after DATA without an end": {"GET", func(s *server) {
			s.Head(1, 200, false)
			s.Data(1, "x", false)
			s.Headers(1, false, "a: b")
		}, errOpenTrailer.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			connTest(t, Config{MaxResponseHeaderBytes: 4096}, func(b *bench) {
				b.server.Settings()
				first := b.start(b.t.Context(), c.method, nil)
				b.request()
				second := b.start(b.t.Context(), "GET", nil)
				b.request()
				c.send(b.server)
				<-first.done
				err := first.err
				if err == nil {
					_, err = io.ReadAll(first.resp.Body)
				}
				if c.text != "" && (err == nil || !strings.Contains(err.Error(), c.text)) {
					t.Errorf("%v, want %s", err, c.text)
				}
				if code, ok := b.server.AwaitReset(1); !ok || code != xhttp2.ErrCodeProtocol {
					t.Errorf("reset with %v, %v", code, ok)
				}
				second.pending()
				b.server.Respond(3, 200, "second", "b: c")
				if body, err := io.ReadAll(second.response().Body); string(body) != "second" || err != nil || second.resp.Header.Get("B") != "c" {
					t.Errorf("%q, %v, %v", body, err, second.resp.Header)
				}
			})
		})
	}
}

func TestFieldsOfTheConnectionAreTakenOut(t *testing.T) {
	connTest(t, Config{}, func(b *bench) {
		r, _ := b.headed("connection: close", "keep-alive: timeout=5", "transfer-encoding: chunked", "upgrade: x",
			"proxy-connection: x", "x: y", "content-length: 3", "content-length: 4")
		if h := r.resp.Header; len(h) != 1 || h.Get("X") != "y" || r.resp.ContentLength != -1 {
			t.Errorf("%v, %d", h, r.resp.ContentLength)
		}
		r.resp.Body.Close()
	})
}

func TestAFloodOfQuestionsThatAreNotReadEndsTheConnection(t *testing.T) {
	for name, send := range map[string]func(s *server){
		"PING":     func(s *server) { s.Raw(xhttp2.FramePing, 0, 0, make([]byte, 8)) },
		"SETTINGS": func(s *server) { s.Settings() },
	} {
		t.Run(name, func(t *testing.T) {
			connTestWith(t, Config{}, 256, func(b *bench) { // the server accepts 256 bytes without reading them
				b.server.Settings()
				go func() { // ends with the connection
					for b.server.Err() == nil {
						send(b.server)
					}
				}()
				synctest.Wait()
				time.Sleep(time.Second)
				b.mu.Lock()
				failed, replies := b.failed, b.out.replies
				b.mu.Unlock()
				if failed != xhttp2.ConnectionError(xhttp2.ErrCodeEnhanceYourCalm) {
					t.Errorf("%v, %d answers wait", failed, replies)
				}
			})
		})
	}
}

func TestAFloodOfResetsIsBoundedByTheRequests(t *testing.T) {
	connTest(t, Config{}, func(b *bench) {
		b.server.Settings()
		for range 1000 {
			r := b.start(b.t.Context(), "GET", nil)
			stream := b.request()
			for range 3 {
				b.server.Reset(stream, xhttp2.ErrCodeCancel)
			}
			r.ended(exchange.EndError)
			if reset, ok := errors.AsType[xhttp2.StreamError](r.err); !ok || !r.Reset || reset.Code != xhttp2.ErrCodeCancel {
				t.Fatalf("%v, %+v", r.err, r.Outcome)
			}
		}
	})
}

// stuck starts an upload to a server that has stopped reading. It returns once the upload has filled the socket.
func (b *bench) stuck() *run {
	b.t.Helper()
	b.server.Settings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 1 << 30})
	b.server.Raw(xhttp2.FrameWindowUpdate, 0, 0, binary.BigEndian.AppendUint32(nil, 1<<30))
	synctest.Wait()
	r := b.start(b.t.Context(), "POST", &endless{})
	r.pending()
	return r
}

// endless is a body that never ends.
type endless struct{}

func (*endless) Read(p []byte) (int, error) { return len(p), nil }

func TestAServerThatStopsReadingHoldsNobodyUp(t *testing.T) {
	connTestWith(t, Config{HTTP2: &http.HTTP2Config{SendPingTimeout: time.Hour}}, 1<<16, func(b *bench) {
		r, stream := b.headed()
		upload := b.stuck()
		start := time.Now()
		if err := r.resp.Body.Close(); err != nil { // the reset that Close sends cannot be written
			t.Error(err)
		}
		r.ended(exchange.Reusable)
		other := b.start(b.t.Context(), "GET", nil)
		other.pending()
		other.Cancel(errGone)
		other.ended(exchange.EndCanceled)
		if other.err != errGone {
			t.Error(other.err)
		}
		upload.Cancel(errGone)
		upload.ended(exchange.EndCanceled)
		b.Close()
		if took := time.Since(start); took > closeWait {
			t.Errorf("it took %v", took)
		}
		_ = stream
	})
}

func TestABodyThatBlocksHoldsUpNeitherCloseNorOthers(t *testing.T) {
	connTest(t, Config{}, func(b *bench) {
		b.server.Settings()
		body, w := io.Pipe()
		r := b.start(b.t.Context(), "POST", body)
		stream := b.request()
		b.server.Head(stream, 200, false)
		resp := r.response()
		start := time.Now()
		resp.Body.Close()
		if took := time.Since(start); took > exchange.ReadWait {
			t.Errorf("closing took %v", took)
		}
		r.ended(exchange.Reusable)
		if _, err := w.Write([]byte("x")); err == nil {
			t.Error("the body is still read from")
		}
	})
}
