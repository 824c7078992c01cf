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
	"github.com/peerpool/peerpool/internal/testkit"
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
			testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
				bad := h.Fetch("bad")
				c := h.Welcome()
				first := c.Request().Stream
				other := h.Fetch("other")
				second := c.Request().Stream
				c.Headers(first, true, fields...)
				bad.Fails("PROTOCOL_ERROR")
				if code, ok := c.AwaitReset(first); !ok || code != http2.ErrCodeProtocol {
					t.Errorf("reset: %v, %v", ok, code)
				}
				c.Respond(second, 200, "other")
				other.Gets("other")
				h.Works(c)
			})
		})
	}
}

// A field with an empty name cannot be written with the helper.
func TestAFieldWithoutANameCostsItsStreamAlone(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		bad := h.Fetch("bad")
		c := h.Welcome()
		stream := c.Request().Stream
		c.Raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersEndStream, stream, []byte{0x88, 0x00, 0x00, 0x01, 'v'})
		bad.Fails("PROTOCOL_ERROR")
		h.Works(c)
	})
}

// In a trailer there are no pseudo-fields, and a trailer is the end of its stream.
func TestATrailerThatIsMalformedCostsItsStreamAlone(t *testing.T) {
	for name, send := range map[string]func(c *testkit.Peer, stream uint32){
		"a status":             func(c *testkit.Peer, stream uint32) { c.Headers(stream, true, ":status: 200") },
		"an upper case name":   func(c *testkit.Peer, stream uint32) { c.Headers(stream, true, "X-Upper: 1") },
		"no end of the stream": func(c *testkit.Peer, stream uint32) { c.Headers(stream, false, "x: y") },
	} {
		t.Run(name, func(t *testing.T) {
			testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
				bad := h.Fetch("bad")
				c := h.Welcome()
				stream := c.Request().Stream
				c.Head(stream, 200, false)
				c.Data(stream, "body", false)
				send(c, stream)
				bad.Fails("PROTOCOL_ERROR")
				if bad.Body != "body" {
					t.Errorf("%q", bad.Body)
				}
				h.Works(c)
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
			testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
				call := h.Fetch("x")
				c := h.Welcome()
				stream := c.Request().Stream
				c.Respond(stream, 200, "body", fields...)
				if call.Ended(); call.Err != nil {
					return // which is as good
				}
				if n := call.Resp.ContentLength; n != -1 || call.Body != "body" || len(call.Resp.Header["Content-Length"]) > 1 {
					t.Errorf("%q, %d, %q", call.Body, n, call.Resp.Header["Content-Length"])
				}
			})
		})
	}
}

// Frames on a stream that has ended belong to no request, no matter how the stream has ended.
func TestWhatComesAfterTheEndOfAStreamReachesNobody(t *testing.T) {
	ends := map[string]func(h *testkit.Framed, c *testkit.Peer) (stream uint32){
		"its response ended": func(h *testkit.Framed, c *testkit.Peer) uint32 {
			call := h.Fetch("x")
			stream := c.Request().Stream
			c.Respond(stream, 200, "done")
			call.Gets("done")
			return stream
		},
		"the server reset it": func(h *testkit.Framed, c *testkit.Peer) uint32 {
			call := h.Start(h.Request("POST", "x", nil))
			stream := c.Request().Stream
			c.Reset(stream, http2.ErrCodeInternal)
			call.Fails("INTERNAL_ERROR")
			return stream
		},
		"its body was closed": func(h *testkit.Framed, c *testkit.Peer) uint32 {
			resp, stream := h.Open(c, "x")
			resp.Body.Close()
			return stream
		},
	}
	late := map[string]func(c *testkit.Peer, stream uint32){
		"HEADERS":       func(c *testkit.Peer, s uint32) { c.Head(s, 200, false, "x-late: 1") },
		"DATA":          func(c *testkit.Peer, s uint32) { c.Data(s, "late", true) },
		"RST_STREAM":    func(c *testkit.Peer, s uint32) { c.Reset(s, http2.ErrCodeCancel) },
		"WINDOW_UPDATE": func(c *testkit.Peer, s uint32) { c.Window(s, 1000) },
		"a huge window": func(c *testkit.Peer, s uint32) { c.Window(s, maxWindow); c.Window(s, maxWindow) },
		"much DATA": func(c *testkit.Peer, s uint32) {
			for range 100 { // more than any window, unless it is given back
				c.Data(s, strings.Repeat("l", 16<<10), false)
				synctest.Wait()
			}
		},
	}
	for ended, end := range ends {
		for name, send := range late {
			t.Run(name+" after "+ended, func(t *testing.T) {
				testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
					c := h.Used()
					stream := end(h, c)
					next := h.Fetch("next")
					nextStream := c.Request().Stream
					send(c, stream)
					if next.Over() {
						t.Fatalf("%q, %v", next.Body, next.Err)
					}
					c.Respond(nextStream, 200, "next")
					next.Gets("next")
					if v := next.Resp.Header.Get("X-Late"); v != "" {
						t.Errorf("it got a field of another response: %q", v)
					}
					h.Works(c)
				})
			})
		}
	}
}

// Frames on streams that have never been opened, and on those that only a server could open, end the connection (RFC 9113
// section 5.1), whatever frames they are.
func TestFramesOnStreamsThatWereNeverOpenedEndTheConnection(t *testing.T) {
	for _, stream := range []uint32{2, 99, 1<<31 - 1} {
		for name, send := range map[string]func(c *testkit.Peer, stream uint32){
			"HEADERS":       func(c *testkit.Peer, s uint32) { c.Head(s, 200, true) },
			"DATA":          func(c *testkit.Peer, s uint32) { c.Data(s, "x", true) },
			"RST_STREAM":    func(c *testkit.Peer, s uint32) { c.Reset(s, http2.ErrCodeCancel) },
			"WINDOW_UPDATE": func(c *testkit.Peer, s uint32) { c.Window(s, 1) },
		} {
			t.Run(fmt.Sprintf("%s on %d", name, stream), func(t *testing.T) {
				testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
					call := h.Start(h.Request("POST", "x", nil))
					c := h.Welcome()
					c.Request()
					send(c, stream)
					call.Fails("PROTOCOL_ERROR")
					c.HungUp()
				})
			})
		}
	}
}

// A response to HEAD consists of its head. If the server does not end the stream with it, the Transport gives the server
// some time for that. The stream does not take the place of another request meanwhile.
func TestTheStreamOfABodilessResponseIsFreeWithoutItsEnd(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{MaxConnsPerHost: 1}, func(h *testkit.Framed) {
		warm := h.Fetch("warm")
		c := h.Accept()
		c.MaxStreams(1)
		c.Respond(c.Request().Stream, 200, "warm")
		warm.Gets("warm")
		for range 3 {
			head := h.Start(h.Request("HEAD", "x", nil))
			c.Head(c.Request().Stream, 200, false, "content-length: 5")
			head.Gets("")
			if head.Resp.ContentLength != 5 || head.Resp.StatusCode != http.StatusOK {
				t.Errorf("%+v", head.Resp)
			}
		}
		h.Works(c)
	})
}

// If there is room for more streams, the number of streams that are left open is bounded, and the Transport does not reset
// those that end.
func TestStreamsThatTheServerLeavesOpenAreBounded(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{MaxConnsPerHost: 1}, func(h *testkit.Framed) {
		warm := h.Fetch("warm")
		c := h.Accept()
		c.MaxStreams(1000)
		c.Respond(c.Request().Stream, 200, "warm")
		warm.Gets("warm")
		open := map[uint32]bool{}
		head := func(end bool) {
			call := h.Start(h.Request("HEAD", "x", nil))
			stream := c.Request().Stream
			c.Head(stream, 200, false)
			call.Gets("")
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
		c.Nc.SetReadDeadline(time.Now())
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
	testkit.FrameTest(t, &peerpool.Transport{MaxResponseHeaderBytes: 64 << 10}, func(h *testkit.Framed) {
		call := h.Fetch("x")
		c := h.Welcome()
		stream := c.Request().Stream
		sent := 0
		for ; !call.Over() && sent < 100_000; sent++ {
			c.Head(stream, 103, false, "link: </style.css>")
		}
		call.Fails("")
		if sent > 64<<10 {
			t.Errorf("after %d of them", sent)
		}
		h.Works(c)
	})
}

// Padding counts for the windows, and they are given back for it.
func TestPaddingGivesItsWindowBack(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		got := make(chan string)
		go func() {
			resp, err := h.RoundTrip(h.Request("GET", "", nil))
			if err != nil {
				h.T.Error(err)
				got <- ""
				return
			}
			b, err := io.ReadAll(resp.Body)
			if err != nil {
				h.T.Error(err)
			}
			got <- string(b)
		}()
		c := h.Welcome()
		s := send(c, 0)
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
