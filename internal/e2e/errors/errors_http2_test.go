package errors_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/h2server"
	"golang.org/x/net/http2"
)

// framing is what a server does with the first request on a connection.
type framing func(*h2server.FrameConn, *h2server.FrameRequest)

// frames starts a server that speaks HTTP/2 frame by frame, without TLS, and returns its URL.
func (p *performance) frames(answer framing) string {
	return httptestutil.NewWire(p, func(c *httptestutil.WireConn) {
		f := h2server.FramesOn(c.Conn(), c)
		f.Settings()
		req := f.ReadRequest()
		if req == nil {
			return
		}
		answer(f, req)
		for f.Next() != nil { // until the client has heard of it all
		}
	}).URL()
}

// overHTTP2 returns a configuration that speaks HTTP/2 and nothing else.
func overHTTP2() *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Transport{Protocols: protocols}
}

// asking is a row: a GET and then an upload, each on a connection of its own, is answered so.
func asking(answer framing) func(*performance) {
	return func(p *performance) {
		p.get(p.use(overHTTP2()), p.frames(answer))
		p.do(p.use(overHTTP2()), p.upload(p.frames(func(c *h2server.FrameConn, r *h2server.FrameRequest) {
			c.ReadBody(r.Stream)
			answer(c, r)
		}), 10))
	}
}

// uploading is asking for the upload alone, where net/http waits before it sends a GET again.
func uploading(answer framing) func(*performance) {
	return func(p *performance) {
		p.do(p.use(overHTTP2()), p.upload(p.frames(func(c *h2server.FrameConn, r *h2server.FrameRequest) {
			c.ReadBody(r.Stream)
			answer(c, r)
		}), 10))
	}
}

var codes = []http2.ErrCode{
	http2.ErrCodeNo, http2.ErrCodeProtocol, http2.ErrCodeInternal, http2.ErrCodeFlowControl, http2.ErrCodeSettingsTimeout,
	http2.ErrCodeStreamClosed, http2.ErrCodeFrameSize, http2.ErrCodeCancel, http2.ErrCodeCompression, http2.ErrCodeConnect,
	http2.ErrCodeEnhanceYourCalm, http2.ErrCodeInadequateSecurity, http2.ErrCodeHTTP11Required, 0x77,
}

func TestAStreamThatIsResetFailsAsWithNetHTTP(t *testing.T) {
	table := failures{
		"REFUSED_STREAM to an upload": uploading(func(c *h2server.FrameConn, r *h2server.FrameRequest) {
			c.Reset(r.Stream, http2.ErrCodeRefusedStream)
		}),
	}
	for _, code := range codes {
		if code == http2.ErrCodeProtocol {
			continue // net/http sends the request again, without end
		}
		table[fmt.Sprint(code, " for an answer")] = asking(func(c *h2server.FrameConn, r *h2server.FrameRequest) {
			c.Reset(r.Stream, code)
		})
		table[fmt.Sprint(code, " after the head")] = asking(func(c *h2server.FrameConn, r *h2server.FrameRequest) {
			c.Head(r.Stream, 200, false)
			c.Reset(r.Stream, code)
		})
		table[fmt.Sprint(code, " within the body")] = asking(func(c *h2server.FrameConn, r *h2server.FrameRequest) {
			c.Head(r.Stream, 200, false, "content-length: 10")
			c.Data(r.Stream, "some", false)
			c.Reset(r.Stream, code)
		})
		table[fmt.Sprint(code, " after an interim head")] = asking(func(c *h2server.FrameConn, r *h2server.FrameRequest) {
			c.Head(r.Stream, 103, false)
			c.Reset(r.Stream, code)
		})
		table[fmt.Sprint(code, " within the upload")] = func(p *performance) {
			p.do(p.use(overHTTP2()), p.upload(p.frames(func(c *h2server.FrameConn, r *h2server.FrameRequest) {
				c.Reset(r.Stream, code)
			}), 1<<30))
		}
	}
	compare(t, table)
}

func TestAConnectionThatEndsOverHTTP2FailsAsWithNetHTTP(t *testing.T) {
	table := failures{
		"without an answer": asking(func(c *h2server.FrameConn, _ *h2server.FrameRequest) { c.CloseWrite() }),
		"after the head": asking(func(c *h2server.FrameConn, r *h2server.FrameRequest) {
			c.Head(r.Stream, 200, false)
			c.CloseWrite()
		}),
		"within the body": asking(func(c *h2server.FrameConn, r *h2server.FrameRequest) {
			c.Head(r.Stream, 200, false, "content-length: 10")
			c.Data(r.Stream, "some", false)
			c.CloseWrite()
		}),
		"without a frame": func(p *performance) {
			p.get(p.use(overHTTP2()), httptestutil.NewWire(p, hangUp("")).URL())
		},
		"within a frame": func(p *performance) {
			p.get(p.use(overHTTP2()), httptestutil.NewWire(p, hangUp("\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00")).URL())
		},
		"with HTTP/1.1": func(p *performance) {
			p.get(p.use(overHTTP2()), httptestutil.NewWire(p, hangUp("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")).URL())
		},
		"with garbage": func(p *performance) {
			p.get(p.use(overHTTP2()), httptestutil.NewWire(p, hangUp(strings.Repeat("garbage ", 10))).URL())
		},
		"with another frame first": func(p *performance) {
			p.get(p.use(overHTTP2()), httptestutil.NewWire(p, hangUp("\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678")).URL())
		},
		"when it answers no ping": func(p *performance) {
			config := overHTTP2()
			config.HTTP2 = &http.HTTP2Config{SendPingTimeout: 300 * time.Millisecond, PingTimeout: 300 * time.Millisecond}
			p.get(p.use(config), p.frames(func(c *h2server.FrameConn, _ *h2server.FrameRequest) { c.Mute = true }))
		},
	}
	for _, code := range codes {
		table[fmt.Sprint("GOAWAY with ", code, " that counts the request, and a close")] = asking(
			func(c *h2server.FrameConn, r *h2server.FrameRequest) {
				c.GoAway(r.Stream, code)
				c.CloseWrite()
			})
		table[fmt.Sprint("GOAWAY with ", code, " within the body, and a close")] = asking(
			func(c *h2server.FrameConn, r *h2server.FrameRequest) {
				c.Head(r.Stream, 200, false)
				c.Data(r.Stream, "some", false)
				c.GoAway(r.Stream, code)
				c.CloseWrite()
			})
		table[fmt.Sprint("GOAWAY with ", code, " that does not count the upload")] = uploading(
			func(c *h2server.FrameConn, _ *h2server.FrameRequest) { c.GoAway(0, code) })
	}
	compare(t, table)
}

// raw is a frame of any kind.
func raw(kind http2.FrameType, flags http2.Flags, stream func(uint32) uint32, payload string) framing {
	return func(c *h2server.FrameConn, r *h2server.FrameRequest) {
		c.Raw(kind, flags, stream(r.Stream), []byte(payload))
	}
}

func itself(stream uint32) uint32 { return stream }
func zero(uint32) uint32          { return 0 }
func later(stream uint32) uint32  { return stream + 100 }

func TestAServerThatBreaksHTTP2FailsAsWithNetHTTP(t *testing.T) {
	headed := func(then framing) framing {
		return func(c *h2server.FrameConn, r *h2server.FrameRequest) {
			c.Head(r.Stream, 200, false)
			then(c, r)
		}
	}
	heads := func(end bool, fields ...string) framing {
		return func(c *h2server.FrameConn, r *h2server.FrameRequest) { c.Headers(r.Stream, end, fields...) }
	}
	table := failures{}
	for name, answer := range map[string]framing{
		"no status":                 heads(true, "a: b"),
		"an empty status":           heads(true, ":status: "),
		"a status in words":         heads(true, ":status: ok"),
		"two statuses":              heads(true, ":status: 200", ":status: 200"),
		"another pseudo-field":      heads(true, ":status: 200", ":path: /"),
		"a pseudo-field at the end": heads(true, "a: b", ":status: 200"),
		"a name in upper case":      heads(true, ":status: 200", "A: b"),
		"an odd name":               heads(true, ":status: 200", "a b: c"),
		"an odd value":              heads(true, ":status: 200", "a: b\x00"),
		"an interim head that ends": heads(true, ":status: 103"),
		"an odd length":             heads(true, ":status: 200", "content-length: x"),
		"data before the head":      func(c *h2server.FrameConn, r *h2server.FrameRequest) { c.Data(r.Stream, "some", true) },
		"less data than announced": func(c *h2server.FrameConn, r *h2server.FrameRequest) {
			c.Head(r.Stream, 200, false, "content-length: 9")
			c.Data(r.Stream, "some", true)
		},
		"more data than announced": func(c *h2server.FrameConn, r *h2server.FrameRequest) {
			c.Head(r.Stream, 200, false, "content-length: 2")
			c.Data(r.Stream, "some", true)
		},
		"no data where it is announced": func(c *h2server.FrameConn, r *h2server.FrameRequest) {
			c.Head(r.Stream, 200, true, "content-length: 9")
		},
		"padding longer than DATA":   headed(raw(http2.FrameData, http2.FlagDataPadded, itself, "\x09abc")),
		"DATA on stream 0":           raw(http2.FrameData, 0, zero, "some"),
		"DATA on a stream to come":   raw(http2.FrameData, 0, later, "some"),
		"HEADERS on stream 0":        raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders, zero, "\x88"),
		"HEADERS that hpack refuses": raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersEndStream, itself, "\xff\xff\xff\xff\xff\xff\xff"),
		"HEADERS that are cut":       raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersEndStream, itself, "\x40\x0aab"),
		"CONTINUATION of nothing":    raw(http2.FrameContinuation, http2.FlagContinuationEndHeaders, itself, "\x88"),
		"PING within HEADERS": func(c *h2server.FrameConn, r *h2server.FrameRequest) {
			c.Raw(http2.FrameHeaders, 0, r.Stream, []byte("\x88"))
			c.Raw(http2.FramePing, 0, 0, []byte("12345678"))
		},
		"RST_STREAM on stream 0":               raw(http2.FrameRSTStream, 0, zero, "\x00\x00\x00\x08"),
		"RST_STREAM of three bytes":            raw(http2.FrameRSTStream, 0, itself, "\x00\x00\x08"),
		"SETTINGS on a stream":                 raw(http2.FrameSettings, 0, itself, ""),
		"SETTINGS of five bytes":               raw(http2.FrameSettings, 0, zero, "12345"),
		"SETTINGS that confirm with a payload": raw(http2.FrameSettings, http2.FlagSettingsAck, zero, "123456"),
		"an initial window too large":          raw(http2.FrameSettings, 0, zero, "\x00\x04\xff\xff\xff\xff"),
		"a frame size too small":               raw(http2.FrameSettings, 0, zero, "\x00\x05\x00\x00\x00\x01"),
		"push that is not on or off":           raw(http2.FrameSettings, 0, zero, "\x00\x02\x00\x00\x00\x02"),
		"PUSH_PROMISE":                         raw(http2.FramePushPromise, http2.FlagPushPromiseEndHeaders, itself, "\x00\x00\x00\x02\x82"),
		"PING of seven bytes":                  raw(http2.FramePing, 0, zero, "1234567"),
		"PING on a stream":                     raw(http2.FramePing, 0, itself, "12345678"),
		"GOAWAY on a stream":                   raw(http2.FrameGoAway, 0, itself, "\x00\x00\x00\x00\x00\x00\x00\x00"),
		"WINDOW_UPDATE of nothing":             raw(http2.FrameWindowUpdate, 0, itself, "\x00\x00\x00\x00"),
		"WINDOW_UPDATE of nothing for all":     raw(http2.FrameWindowUpdate, 0, zero, "\x00\x00\x00\x00"),
		"WINDOW_UPDATE of too much for all":    raw(http2.FrameWindowUpdate, 0, zero, "\x7f\xff\xff\xff"),
		"a frame that is too large":            raw(http2.FrameData, 0, itself, strings.Repeat("x", 1<<20+1)),
		"gzip that is none": func(c *h2server.FrameConn, r *h2server.FrameRequest) {
			c.Respond(r.Stream, 200, "no gzip at all", "content-encoding: gzip")
		},
	} {
		table[name] = asking(answer)
	}
	compare(t, table)
}

// TestARequestThatHTTP2CannotCarryFailsAsWithNetHTTP sends requests over HTTP/2 that only HTTP/1.1 can carry, or that
// neither can.
func TestARequestThatHTTP2CannotCarryFailsAsWithNetHTTP(t *testing.T) {
	table := failures{}
	for name, change := range map[string]func(*http.Request){
		"Upgrade":           func(r *http.Request) { r.Header.Set("Upgrade", "other") },
		"Connection":        func(r *http.Request) { r.Header.Set("Connection", "other") },
		"two of Connection": func(r *http.Request) { r.Header["Connection"] = []string{"close", "keep-alive"} },
		"Transfer-Encoding": func(r *http.Request) { r.Header.Set("Transfer-Encoding", "gzip") },
		"an odd host":       func(r *http.Request) { r.Host = "a\x00b" },
		"an odd path":       func(r *http.Request) { r.URL.Opaque = "no path" },
		"a forbidden trailer": func(r *http.Request) {
			r.Body, r.ContentLength, r.Trailer = body("x"), -1, http.Header{"Content-Length": {"1"}}
		},
		"an odd trailer value":                           func(r *http.Request) { r.Body, r.ContentLength, r.Trailer = body("x"), -1, http.Header{"A": {"\x00"}} },
		"a length without a body":                        func(r *http.Request) { r.ContentLength = 5 },
		"a header that is longer than the server allows": func(r *http.Request) { r.Header.Set("A", strings.Repeat("x", 20<<10)) },
	} {
		table[name] = func(p *performance) {
			target := httptestutil.NewWire(p, func(c *httptestutil.WireConn) {
				f := h2server.FramesOn(c.Conn(), c)
				f.Settings(http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: 10 << 10})
				for r := f.ReadRequest(); r != nil; r = f.ReadRequest() {
					f.Respond(r.Stream, 200, "ok")
				}
			}).URL()
			tr := p.use(overHTTP2())
			p.get(tr, target) // the server's limits are known then
			req := p.request(http.MethodPost, target, nil)
			change(req)
			p.do(tr, req)
		}
	}
	compare(t, table)
}
