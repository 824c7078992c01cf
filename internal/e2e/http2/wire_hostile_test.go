package http2_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	"golang.org/x/net/http2"
)

// breach is something that no server may send, while streams 1 and 3 are open.
type breach struct {
	name string
	send func(p *testkit.Peer)
	text string // of the error that it leads to
}

// connBreaches end the connection.
var connBreaches = []breach{
	{"a frame that is too large", func(p *testkit.Peer) { p.Raw(http2.FrameData, 0, 1, make([]byte, 2<<20)) }, "frame too large"},
	{"a header block without an end", func(p *testkit.Peer) {
		p.Raw(http2.FrameHeaders, 0, 1, p.Encode(":status: 200"))
		for range 10_000 {
			p.Raw(http2.FrameContinuation, 0, 1, p.Encode("a: "+strings.Repeat("x", 1000)))
		}
	}, "PROTOCOL_ERROR"},
	{"a header block of another stream within one", func(p *testkit.Peer) {
		p.Raw(http2.FrameHeaders, 0, 1, p.Encode(":status: 200"))
		p.Raw(http2.FrameContinuation, http2.FlagContinuationEndHeaders, 3, p.Encode("a: b"))
	}, "PROTOCOL_ERROR"},
	{"a CONTINUATION of nothing", func(p *testkit.Peer) {
		p.Raw(http2.FrameContinuation, http2.FlagContinuationEndHeaders, 1, p.Encode("a: b"))
	}, "PROTOCOL_ERROR"},
	{"a header block that is no HPACK", func(p *testkit.Peer) {
		p.Raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, bytes.Repeat([]byte{0xff}, 20))
	}, "COMPRESSION_ERROR"},
	{"DATA on no stream", func(p *testkit.Peer) { p.Raw(http2.FrameData, 0, 0, []byte("x")) }, "PROTOCOL_ERROR"},
	{"HEADERS on no stream", func(p *testkit.Peer) {
		p.Raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 0, p.Encode(":status: 200"))
	}, "PROTOCOL_ERROR"},
	{"DATA on a stream that was never opened", func(p *testkit.Peer) { p.Data(99, "x", true) }, "PROTOCOL_ERROR"},
	{"a push", func(p *testkit.Peer) {
		p.Raw(http2.FramePushPromise, http2.FlagPushPromiseEndHeaders, 1,
			append([]byte{0, 0, 0, 2}, p.Encode(":method: GET", ":path: /", ":scheme: http", ":authority: x")...))
	}, "PROTOCOL_ERROR"},
	{"half a setting", func(p *testkit.Peer) { p.Raw(http2.FrameSettings, 0, 0, []byte{0, 3, 0}) }, "FRAME_SIZE_ERROR"},
	{"SETTINGS of a stream", func(p *testkit.Peer) { p.Raw(http2.FrameSettings, 0, 1, nil) }, "PROTOCOL_ERROR"},
	{"a frame size out of range", func(p *testkit.Peer) {
		p.Settings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1})
	}, "PROTOCOL_ERROR"},
	{"a window out of range", func(p *testkit.Peer) {
		p.Settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 31})
	}, "FLOW_CONTROL_ERROR"},
	{"a window that overflows", func(p *testkit.Peer) {
		p.Raw(http2.FrameWindowUpdate, 0, 0, binary.BigEndian.AppendUint32(nil, 1<<31-1))
	}, "FLOW_CONTROL_ERROR"},
	{"an acknowledgment of nothing", func(p *testkit.Peer) {
		p.Raw(http2.FrameSettings, http2.FlagSettingsAck, 0, nil)
		p.Raw(http2.FrameSettings, http2.FlagSettingsAck, 0, nil)
	}, "PROTOCOL_ERROR"},
	{"a PING that is too short", func(p *testkit.Peer) { p.Raw(http2.FramePing, 0, 0, []byte("x")) }, "FRAME_SIZE_ERROR"},
	{"half a GOAWAY", func(p *testkit.Peer) { p.Raw(http2.FrameGoAway, 0, 0, []byte{0, 0, 0, 0}) }, "FRAME_SIZE_ERROR"},
	{"half an RST_STREAM", func(p *testkit.Peer) { p.Raw(http2.FrameRSTStream, 0, 1, []byte{0}) }, "FRAME_SIZE_ERROR"},
	{"more padding than frame", func(p *testkit.Peer) { p.Raw(http2.FrameData, http2.FlagDataPadded, 1, []byte{200, 0}) }, "PROTOCOL_ERROR"},
	{"HTTP/1.1", func(p *testkit.Peer) { p.Raw('T', 0, 0, nil); _, _ = io.WriteString(rawWriter{p}, testkit.Ok) }, ""},
}

// rawWriter writes below the frames.
type rawWriter struct{ p *testkit.Peer }

func (w rawWriter) Write(b []byte) (int, error) { return w.p.Nc.Write(b) }

func TestAServerThatBreaksTheProtocolLosesTheConnection(t *testing.T) {
	for _, b := range connBreaches {
		t.Run(b.name, func(t *testing.T) {
			testkit.FrameTest(t, &peerpool.Transport{MaxResponseHeaderBytes: 64 << 10}, func(h *testkit.Framed) {
				calls, p := h.Serving("POST", "1", "3")
				p.Next() // the acknowledgment of the settings
				b.send(p)
				for _, c := range calls {
					c.Ended()
					if c.Err == nil {
						t.Fatalf("%s %q", c.Resp.Status, c.Body)
					}
				}
				if text := calls[0].Err.Error(); !strings.Contains(text, b.text) {
					t.Errorf("%v, want %s", text, b.text)
				}
				p.HungUp()
				synctest.Wait()
				if st := h.Stats(); st.Active+st.Idle != 0 || st.Opened != 1 {
					t.Errorf("%+v", st)
				}
				h.Closes("protocol", 1)
				h.Events.WantRetries(t)
				next := h.Fetch("next")
				h.Welcome().Answer()
				next.Gets("/next")
			})
		})
	}
}

func TestDataBeyondTheWindowLosesTheConnection(t *testing.T) {
	tr := &peerpool.Transport{HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10}}
	testkit.FrameTest(t, tr, func(h *testkit.Framed) {
		done := make(chan *http.Response)
		go func() {
			resp, err := h.RoundTrip(h.Request("GET", "x", nil))
			if err != nil {
				t.Error(err)
			}
			done <- resp
		}()
		p := h.Welcome()
		p.Request()
		p.Head(1, 200, false)
		resp := <-done
		for range 7 {
			p.Data(1, strings.Repeat("x", 10_000), false)
		}
		synctest.Wait()
		body, err := io.ReadAll(resp.Body)
		if err == nil || !strings.Contains(err.Error(), "FLOW_CONTROL_ERROR") || len(body) > 64<<10 {
			t.Errorf("%d bytes, %v", len(body), err)
		}
		resp.Body.Close()
		p.HungUp()
		h.Closes("protocol", 1)
	})
}

// streamBreaches end stream 1.
var streamBreaches = []breach{
	{"no status", func(p *testkit.Peer) { p.Headers(1, true, "a: b") }, "missing status"},
	{"a status that is no number", func(p *testkit.Peer) { p.Headers(1, true, ":status: ok") }, "non-numeric status"},
	{"a pseudo-field of requests", func(p *testkit.Peer) { p.Headers(1, true, ":status: 200", ":path: /") }, "PROTOCOL_ERROR"},
	{"a pseudo-field after the others", func(p *testkit.Peer) { p.Headers(1, true, "a: b", ":status: 200") }, "PROTOCOL_ERROR"},
	{"two statuses", func(p *testkit.Peer) { p.Headers(1, true, ":status: 200", ":status: 404") }, "PROTOCOL_ERROR"},
	{"a name in upper case", func(p *testkit.Peer) { p.Headers(1, true, ":status: 200", "X-A: b") }, "PROTOCOL_ERROR"},
	{"a line end in a value", func(p *testkit.Peer) { p.Headers(1, true, ":status: 200", "a: b\r\nc: d") }, "PROTOCOL_ERROR"},
	{"DATA first", func(p *testkit.Peer) { p.Data(1, "x", false) }, "PROTOCOL_ERROR"},
	{"an interim response that ends", func(p *testkit.Peer) { p.Head(1, 103, true) }, "1xx informational response with END_STREAM"},
	{"a flood of interim responses", func(p *testkit.Peer) {
		for range 2000 {
			p.Head(1, 103, false, "link: "+strings.Repeat("x", 1000))
		}
	}, "header list too large"},
	{"a window update of nothing", func(p *testkit.Peer) {
		p.Raw(http2.FrameWindowUpdate, 0, 1, []byte{0, 0, 0, 0})
	}, "PROTOCOL_ERROR"},
	{"a window that overflows", func(p *testkit.Peer) {
		p.Raw(http2.FrameWindowUpdate, 0, 1, binary.BigEndian.AppendUint32(nil, 1<<31-1))
	}, "FLOW_CONTROL_ERROR"},
	{"a field beyond our limit", func(p *testkit.Peer) {
		p.Head(1, 200, true, "a: "+strings.Repeat("x", 100_000))
	}, "header list larger than"},
	{"a header list beyond our limit", func(p *testkit.Peer) {
		p.Head(1, 200, true, slices.Repeat([]string{"a: " + strings.Repeat("x", 1000)}, 100)...)
	}, "header list larger than"},
}

func TestAMalformedResponseIsAnErrorOfItsStream(t *testing.T) {
	for _, b := range streamBreaches {
		t.Run(b.name, func(t *testing.T) {
			testkit.FrameTest(t, &peerpool.Transport{MaxResponseHeaderBytes: 64 << 10}, func(h *testkit.Framed) {
				calls, p := h.Serving("GET", "1", "3")
				b.send(p)
				if err := calls[0].Breaks(); !strings.Contains(err.Error(), b.text) {
					t.Errorf("%v, want %s", err, b.text)
				}
				calls[1].Pending()
				p.Respond(3, 200, "third")
				calls[1].Gets("third")
				h.Works(p)
				h.Events.WantRetries(t)
				h.Dials(1)
			})
		})
	}
}

func TestTheGreatestLimitOfAHeadIsNoLimit(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{MaxResponseHeaderBytes: math.MaxInt64}, func(h *testkit.Framed) {
		call := h.Starts("GET", "1")[0]
		p := h.Welcome()
		p.Requests(1)
		p.Respond(1, 200, "first")
		call.Gets("first")
	})
}

// bodyBreaches end stream 1 after a head and the DATA "ok".
var bodyBreaches = []breach{
	{"more than its length", func(p *testkit.Peer) {
		p.Head(1, 200, false, "content-length: 2")
		p.Data(1, "ok", false)
		p.Data(1, "more", true)
	}, "more than declared Content-Length"},
	{"less than its length", func(p *testkit.Peer) {
		p.Head(1, 200, false, "content-length: 3")
		p.Data(1, "ok", true)
	}, "unexpected EOF"},
	{"a trailer with a status", func(p *testkit.Peer) {
		p.Head(1, 200, false)
		p.Data(1, "ok", false)
		p.Headers(1, false, "a: b") // a trailer ends the stream
	}, "PROTOCOL_ERROR"},
	{"reset", func(p *testkit.Peer) {
		p.Head(1, 200, false)
		p.Data(1, "ok", false)
		synctest.Wait()
		p.Reset(1, http2.ErrCodeInternal)
	}, "INTERNAL_ERROR"},
	{"closed", func(p *testkit.Peer) {
		p.Head(1, 200, false)
		p.Data(1, "ok", false)
		p.Close()
	}, "unexpected EOF"},
}

func TestABodyThatBreaksOffOverHTTP2IsNeverCalledComplete(t *testing.T) {
	for _, b := range bodyBreaches {
		t.Run(b.name, func(t *testing.T) {
			testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
				call := h.Fetch("1")
				p := h.Welcome()
				p.Requests(1)
				b.send(p)
				call.Ended()
				if call.Err == nil || !call.Headed || call.Body != "ok" || !strings.Contains(call.Err.Error(), b.text) {
					t.Errorf("%q, %v, want %s", call.Body, call.Err, b.text)
				}
				h.Events.WantRetries(t)
			})
		})
	}
}

func TestALengthWithoutABodyIsAnErrorWhenItIsRead(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		call := h.Fetch("1")
		p := h.Welcome()
		p.Head(p.Request().Stream, 200, true, "content-length: 3")
		if call.Ended(); !errors.Is(call.Err, io.ErrUnexpectedEOF) {
			t.Errorf("%q, %v", call.Body, call.Err)
		}
		h.Works(p)
	})
}

func TestLengthsThatContradictEachOtherAreNotPassedOn(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		call := h.Fetch("1")
		p := h.Welcome()
		p.Respond(p.Request().Stream, 200, "body", "content-length: 4", "content-length: 2")
		call.Gets("body")
		if resp := call.Resp; resp.ContentLength != -1 || len(resp.Header["Content-Length"]) != 0 {
			t.Errorf("%d, %v", resp.ContentLength, resp.Header)
		}
		h.Works(p)
	})
}

func TestWhatNobodyKnowsIsIgnored(t *testing.T) {
	for name, send := range map[string]func(p *testkit.Peer){
		"frames of unknown types": func(p *testkit.Peer) {
			p.Raw(0x0a, 0xff, 0, []byte("ALTSVC"))
			p.Raw(0x0c, 0, 0, []byte("ORIGIN"))
			p.Raw(0xbe, 0xff, 1, bytes.Repeat([]byte("x"), 10_000))
		},
		"settings of unknown types": func(p *testkit.Peer) {
			p.Settings(http2.Setting{ID: 0xbeef, Val: 1}, http2.Setting{ID: 0xffff, Val: 1<<32 - 1})
		},
		"a flood of PINGs": func(p *testkit.Peer) {
			for range 2000 {
				p.Raw(http2.FramePing, 0, 0, []byte("12345678"))
			}
		},
		"PINGs that answer nothing": func(p *testkit.Peer) {
			for range 100 {
				p.Raw(http2.FramePing, http2.FlagPingAck, 0, []byte("12345678"))
			}
		},
		"a flood of SETTINGS": func(p *testkit.Peer) {
			for i := range 2000 {
				p.MaxStreams(uint32(10 + i%90))
			}
		},
		"a flood of empty DATA": func(p *testkit.Peer) {
			p.Head(1, 200, false)
			for range 2000 {
				p.Data(1, "", false)
			}
			p.Data(1, "first", true)
		},
		"DATA and resets of a stream that has ended": func(p *testkit.Peer) {
			p.Respond(1, 200, "first")
			synctest.Wait()
			p.Data(1, "late", true)
			p.Head(1, 500, true)
			p.Reset(1, http2.ErrCodeInternal)
		},
		"priorities": func(p *testkit.Peer) {
			p.Raw(http2.FramePriority, 0, 1, []byte{0, 0, 0, 3, 9})
		},
	} {
		t.Run(name, func(t *testing.T) {
			testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
				calls, p := h.Serving("GET", "1", "3")
				send(p)
				synctest.Wait()
				p.Respond(3, 200, "third")
				calls[1].Gets("third")
				select {
				case <-calls[0].Done:
				default:
					p.Respond(1, 200, "first")
				}
				calls[0].Gets("first")
				h.Works(p)
				h.Events.WantRetries(t)
				h.Dials(1)
			})
		})
	}
}

// A response on a stream that was canceled belongs to nobody.
func TestALateResponseIsNotDeliveredToTheNextRequest(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		req, cancel := h.Cancelable("secret")
		call := h.Start(req)
		p := h.Welcome()
		first := p.Request()
		cancel(testkit.ErrChangedMind)
		call.Ended()
		p.ResetWith(first.Stream, http2.ErrCodeCancel)
		next := h.Fetch("next")
		second := p.Request()
		p.Respond(first.Stream, 200, "secret")
		next.Pending()
		p.Respond(second.Stream, 200, "next")
		next.Gets("next")
		h.Dials(1)
	})
}
