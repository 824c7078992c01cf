package differential_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool"
	"golang.org/x/net/http2"
)

// Fields that a response over HTTP/2 cannot have (RFC 9113 sections 8.2 and 8.3).
func TestFieldsThatAreMalformedCostTheirStreamAlone(t *testing.T) {
	for name, fields := range map[string][]string{
		"an upper case name":               {":status: 200", "X-Upper: 1"},
		"a name with a space":              {":status: 200", "x y: 1"},
		"a line end in a value":            {":status: 200", "x: a\nb"},
		"a NUL in a value":                 {":status: 200", "x: a\x00b"},
		"a status twice":                   {":status: 200", ":status: 200"},
		"a status behind a field":          {"x: y", ":status: 200"},
		"a pseudo-field of requests":       {":status: 200", ":method: GET"},
		"a pseudo-field that nobody knows": {":status: 200", ":what: x"},
		"no status":                        {"x: y"},
		"an empty status":                  {":status: "},
		"a status of two digits":           {":status: 20"},
		"a status of four digits":          {":status: 2000"},
		"a status that is no number":       {":status: 2xx"},
		"a status with a sign":             {":status: +20"},
		"switching protocols":              {":status: 101"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, &peerpool.Transport{}, func(h *host) {
				bad := h.send("GET", "bad", nil)
				c := h.accept()
				c.MaxStreams(100)
				first := c.request().Stream
				other := h.send("GET", "other", nil)
				second := c.request().Stream
				c.Headers(first, true, fields...)
				bad.fails("PROTOCOL_ERROR")
				if code, ok := c.AwaitReset(first); !ok || code != http2.ErrCodeProtocol {
					t.Errorf("reset: %v, %v", ok, code)
				}
				c.Respond(second, 200, "other")
				other.gets("other")
				h.works(c)
			})
		})
	}
}

// A field with an empty name cannot be written with the helper.
func TestAFieldWithoutANameCostsItsStreamAlone(t *testing.T) {
	bubble(t, &peerpool.Transport{}, func(h *host) {
		bad := h.send("GET", "bad", nil)
		c := h.accept()
		c.MaxStreams(100)
		stream := c.request().Stream
		c.Raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersEndStream, stream, []byte{0x88, 0x00, 0x00, 0x01, 'v'})
		bad.fails("PROTOCOL_ERROR")
		h.works(c)
	})
}

// In a trailer there are no pseudo-fields, and a trailer is the end of its stream.
func TestATrailerThatIsMalformedCostsItsStreamAlone(t *testing.T) {
	for name, send := range map[string]func(c *conn, stream uint32){
		"a status":             func(c *conn, stream uint32) { c.Headers(stream, true, ":status: 200") },
		"an upper case name":   func(c *conn, stream uint32) { c.Headers(stream, true, "X-Upper: 1") },
		"no end of the stream": func(c *conn, stream uint32) { c.Headers(stream, false, "x: y") },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, &peerpool.Transport{}, func(h *host) {
				bad := h.send("GET", "bad", nil)
				c := h.accept()
				c.MaxStreams(100)
				stream := c.request().Stream
				c.Head(stream, 200, false)
				c.Data(stream, "body", false)
				send(c, stream)
				bad.fails("PROTOCOL_ERROR")
				if bad.body != "body" {
					t.Errorf("%q", bad.body)
				}
				h.works(c)
			})
		})
	}
}

// Two readers of two lengths would see two responses.
func TestLengthsThatDisagreeReachNobody(t *testing.T) {
	for name, fields := range map[string][]string{
		"two lengths":        {"content-length: 4", "content-length: 2"},
		"two in one field":   {"content-length: 4, 2"},
		"no number":          {"content-length: four"},
		"a negative one":     {"content-length: -4"},
		"one with a sign":    {"content-length: +4"},
		"one that overflows": {"content-length: 99999999999999999999"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, &peerpool.Transport{}, func(h *host) {
				call := h.send("GET", "x", nil)
				c := h.accept()
				c.MaxStreams(100)
				stream := c.request().Stream
				c.Respond(stream, 200, "body", fields...)
				if call.ended(); call.err != nil {
					return // which is as good
				}
				if n := call.resp.ContentLength; n != -1 || call.body != "body" || len(call.resp.Header["Content-Length"]) > 1 {
					t.Errorf("%q, %d, %q", call.body, n, call.resp.Header["Content-Length"])
				}
			})
		})
	}
}

// Frames on a stream that has ended belong to no request, no matter how the stream has ended.
func TestWhatComesAfterTheEndOfAStreamReachesNobody(t *testing.T) {
	ends := map[string]func(h *host, c *conn) (stream uint32){
		"its response ended": func(h *host, c *conn) uint32 {
			call := h.send("GET", "x", nil)
			stream := c.request().Stream
			c.Respond(stream, 200, "done")
			call.gets("done")
			return stream
		},
		"the server reset it": func(h *host, c *conn) uint32 {
			call := h.send("POST", "x", nil)
			stream := c.request().Stream
			c.Reset(stream, http2.ErrCodeInternal)
			call.fails("INTERNAL_ERROR")
			return stream
		},
		"its body was closed": func(h *host, c *conn) uint32 {
			resp, stream := h.open(c, "x")
			resp.Body.Close()
			return stream
		},
	}
	late := map[string]func(c *conn, stream uint32){
		"HEADERS":       func(c *conn, s uint32) { c.Head(s, 200, false, "x-late: 1") },
		"DATA":          func(c *conn, s uint32) { c.Data(s, "late", true) },
		"RST_STREAM":    func(c *conn, s uint32) { c.Reset(s, http2.ErrCodeCancel) },
		"WINDOW_UPDATE": func(c *conn, s uint32) { c.Window(s, 1000) },
		"a huge window": func(c *conn, s uint32) { c.Window(s, maxWindow); c.Window(s, maxWindow) },
		"much DATA": func(c *conn, s uint32) {
			for range 100 { // more than any window, unless it is given back
				c.Data(s, strings.Repeat("l", 16<<10), false)
				synctest.Wait()
			}
		},
	}
	for ended, end := range ends {
		for name, send := range late {
			t.Run(name+" after "+ended, func(t *testing.T) {
				bubble(t, &peerpool.Transport{}, func(h *host) {
					warm := h.send("GET", "warm", nil)
					c := h.accept()
					c.MaxStreams(100)
					c.Respond(c.request().Stream, 200, "warm")
					warm.gets("warm")
					stream := end(h, c)
					next := h.send("GET", "next", nil)
					nextStream := c.request().Stream
					send(c, stream)
					if next.over() {
						t.Fatalf("%q, %v", next.body, next.err)
					}
					c.Respond(nextStream, 200, "next")
					next.gets("next")
					if v := next.resp.Header.Get("X-Late"); v != "" {
						t.Errorf("it got a field of another response: %q", v)
					}
					h.works(c)
				})
			})
		}
	}
}

// Frames on streams that have never been opened, and on those that only a server could open, end the connection (RFC 9113
// section 5.1), whatever frames they are.
func TestFramesOnStreamsThatWereNeverOpenedEndTheConnection(t *testing.T) {
	for _, stream := range []uint32{2, 99, 1<<31 - 1} {
		for name, send := range map[string]func(c *conn, stream uint32){
			"HEADERS":       func(c *conn, s uint32) { c.Head(s, 200, true) },
			"DATA":          func(c *conn, s uint32) { c.Data(s, "x", true) },
			"RST_STREAM":    func(c *conn, s uint32) { c.Reset(s, http2.ErrCodeCancel) },
			"WINDOW_UPDATE": func(c *conn, s uint32) { c.Window(s, 1) },
		} {
			t.Run(fmt.Sprintf("%s on %d", name, stream), func(t *testing.T) {
				bubble(t, &peerpool.Transport{}, func(h *host) {
					call := h.send("POST", "x", nil)
					c := h.accept()
					c.MaxStreams(100)
					c.request()
					send(c, stream)
					call.fails("PROTOCOL_ERROR")
					c.hungUp()
				})
			})
		}
	}
}

// A response to HEAD consists of its head. If the server does not end the stream with it, the Transport gives the server
// some time for that. The stream does not take the place of another request meanwhile.
func TestTheStreamOfABodilessResponseIsFreeWithoutItsEnd(t *testing.T) {
	bubble(t, &peerpool.Transport{MaxConnsPerHost: 1}, func(h *host) {
		warm := h.send("GET", "warm", nil)
		c := h.accept()
		c.MaxStreams(1)
		c.Respond(c.request().Stream, 200, "warm")
		warm.gets("warm")
		for range 3 {
			head := h.send("HEAD", "x", nil)
			c.Head(c.request().Stream, 200, false, "content-length: 5")
			head.gets("")
			if head.resp.ContentLength != 5 || head.resp.StatusCode != http.StatusOK {
				t.Errorf("%+v", head.resp)
			}
		}
		h.works(c)
	})
}

// If there is room for more streams, the number of streams that are left open is bounded, and the Transport does not reset
// those that end.
func TestStreamsThatTheServerLeavesOpenAreBounded(t *testing.T) {
	bubble(t, &peerpool.Transport{MaxConnsPerHost: 1}, func(h *host) {
		warm := h.send("GET", "warm", nil)
		c := h.accept()
		c.MaxStreams(1000)
		c.Respond(c.request().Stream, 200, "warm")
		warm.gets("warm")
		open := map[uint32]bool{}
		head := func(end bool) {
			call := h.send("HEAD", "x", nil)
			stream := c.request().Stream
			c.Head(stream, 200, false)
			call.gets("")
			if end {
				c.Data(stream, "", true)
			} else {
				open[stream] = true
			}
		}
		for range 200 {
			head(true)
		}
		for range 200 {
			head(false)
		}
		synctest.Wait()
		c.nc.SetReadDeadline(time.Now())
		for f := c.Next(); f != nil; f = c.Next() {
			if f.Type == http2.FrameRSTStream && !open[f.Stream] {
				t.Errorf("stream %d, which has ended, is reset", f.Stream)
			}
		}
		left := 0
		for stream := range open {
			if _, reset := c.AwaitReset(stream); !reset {
				left++
			}
		}
		if left > 16 {
			t.Errorf("%d streams are open", left)
		}
	})
}

// The Transport bounds the size of all interim responses together, not their number.
func TestInterimResponsesThatNeverEndAreAnError(t *testing.T) {
	bubble(t, &peerpool.Transport{MaxResponseHeaderBytes: 64 << 10}, func(h *host) {
		call := h.send("GET", "x", nil)
		c := h.accept()
		c.MaxStreams(100)
		stream := c.request().Stream
		sent := 0
		for ; !call.over() && sent < 100_000; sent++ {
			c.Head(stream, 103, false, "link: </style.css>")
		}
		call.fails("")
		if sent > 64<<10 {
			t.Errorf("after %d of them", sent)
		}
		h.works(c)
	})
}

// Padding counts for the windows, and they are given back for it.
func TestPaddingGivesItsWindowBack(t *testing.T) {
	bubble(t, &peerpool.Transport{}, func(h *host) {
		got := make(chan string)
		go func() {
			req, _ := http.NewRequestWithContext(h.t.Context(), "GET", "http://example.test/", nil)
			resp, err := h.RoundTrip(req)
			if err != nil {
				h.t.Error(err)
				got <- ""
				return
			}
			b, err := io.ReadAll(resp.Body)
			if err != nil {
				h.t.Error(err)
			}
			got <- string(b)
		}()
		c := h.accept()
		s := c.send(0)
		c.MaxStreams(100)
		id := s.next()
		payload := append([]byte{255}, make([]byte, 256)...)
		payload[1] = 'x'
		const frames = 3000 // three quarters of a million bytes of padding
		for range frames {
			s.mu.Lock()
			for s.conn < 257 || s.streams[id] < 257 {
				if s.gone {
					s.mu.Unlock()
					t.Fatal("the connection has ended")
				}
				s.changed.Wait()
			}
			s.conn -= 257
			s.streams[id] -= 257
			c.Raw(http2.FrameData, http2.FlagDataPadded, id, payload)
			s.mu.Unlock()
		}
		c.Data(id, "", true)
		if b := <-got; b != strings.Repeat("x", frames) {
			t.Errorf("%d bytes", len(b))
		}
	})
}
