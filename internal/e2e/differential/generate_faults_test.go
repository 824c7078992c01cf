package differential_test

import (
	"strings"
	"time"

	"golang.org/x/net/http2"
)

// The values of HEADER_TABLE_SIZE leave nothing in a table that is made larger again: hpack's decoder doesn't take the two
// updates that RFC 7541 section 4.2 wants then.

// harmless is something that a server may send at any time.
func (g *generator) harmless() step {
	st := pick(g,
		step{verb: "ping", n: g.IntN(256)},
		step{verb: "pong", n: g.IntN(256)},
		step{verb: "grant", n: pick(g, 1, 1000, 1<<20)},
		step{verb: "connwin", n: pick(g, 1, 1000, 1<<20)},
		step{verb: "settings", set: []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: pick[uint32](g, 0, 10, 3000, 65535, 1<<20)}}},
		step{verb: "settings", set: []http2.Setting{{ID: http2.SettingMaxConcurrentStreams, Val: pick(g, g.streams()...)}}},
		step{verb: "settings", set: []http2.Setting{{ID: http2.SettingMaxFrameSize, Val: pick[uint32](g, 16384, 30_000)}, {ID: 0xabc, Val: 9}}},
		step{verb: "settings", set: []http2.Setting{{ID: http2.SettingHeaderTableSize, Val: pick[uint32](g, 0, 4096)}}},
		step{verb: "frame", n: 0xbe, pad: 0xff, fields: []string{strings.Repeat("u", g.IntN(300))}},
		step{verb: "connframe", n: 0x0a, fields: []string{"unknown"}},
		step{verb: "frame", n: int(http2.FramePriority), fields: []string{"\x00\x00\x00\x00\x09"}},
	)
	if g.one(2) {
		st.after = g.pause(10 * time.Millisecond)
	}
	return st
}

// fault is something that ends the stream, or the connection, or that no server should send.
func (g *generator) fault() []step {
	codes := []int{0, 1, 2, 3, 5, 7, 7, 8, 11, 13}
	ended := step{verb: "head", n: 200, end: true}
	faults := [][]step{
		{{verb: "reset", n: pick(g, codes...)}},
		{{verb: "reset", n: int(http2.ErrCodeNo)}},
		{{verb: "reset", n: int(http2.ErrCodeRefusedStream)}},
		{{verb: "fields", fields: []string{"x-a: no status"}, end: g.one(2)}},
		{{verb: "head", n: 200, fields: []string{"X-Upper: case"}}},
		{{verb: "head", n: 200, fields: []string{"connection: keep-alive"}, end: g.one(2)}},
		{{verb: "head", n: 200, fields: []string{"transfer-encoding: chunked"}, end: g.one(2)}},
		{{verb: "head", n: 200, fields: []string{":status: 200"}}},
		{{verb: "head", n: 200, fields: []string{":path: /"}}},
		{{verb: "fields", fields: []string{"x-early: 1", ":status: 200"}}},
		{{verb: "head", n: 200, fields: []string{"x-line: a\r\nb"}}},
		{{verb: "head", n: 200, fields: []string{"x sp: a"}}},
		{{verb: "head", n: pick(g, 7, 99, 1000, 101), end: g.one(2)}},
		{{verb: "head", n: 200, fields: []string{"content-length: 4", "content-length: 5"}, end: g.one(2)}},
		{{verb: "head", n: 200, fields: []string{"content-length: 5", "content-length: 5"}, end: g.one(2)}},
		{{verb: "head", n: 200, fields: []string{"content-length: " + pick(g, "-1", "x", "", "+5", "99999999999999999999")}, end: g.one(2)}},
		{{verb: "head", n: 200, fields: []string{"x-bomb: " + strings.Repeat("b", 3000)}, end: g.one(2)}},
		{ended, ended},
		{{verb: "loose", n: 100}},
		{{verb: "loose", n: 0, end: true}, {verb: "loose", n: 5}},
		{{verb: "fields", fields: []string{"x-t: 1"}}}, // trailers that do not end the stream
		{{verb: "fields", fields: []string{":status: 200"}, end: true}},
		{{verb: "grant", n: 0}},
		{{verb: "grant", n: maxWindow}},
	}
	if !g.crowded {
		faults = append(faults, g.connFaults()...)
	}
	fault := pick(g, faults...)
	if g.one(2) {
		fault[0].after = g.pause(10 * time.Millisecond)
	}
	return fault
}

// connFaults end the connection, or should.
func (g *generator) connFaults() [][]step {
	return [][]step{
		{{verb: "goaway", n: pick(g, 0, 0, 0, 2, 11), fields: []string{pick(g, "this", "before", "all")}}},
		{{verb: "goaway", fields: []string{"all"}}, {verb: "goaway", fields: []string{pick(g, "this", "before")}, after: g.pause(9 * time.Millisecond)}},
		{{verb: "close"}},
		{{verb: "connwin", n: 0}},
		{{verb: "connwin", n: maxWindow}},
		{{verb: "settings", set: []http2.Setting{{ID: http2.SettingEnablePush, Val: pick[uint32](g, 0, 1, 2)}}}},
		{{verb: "settings", set: []http2.Setting{{ID: http2.SettingMaxFrameSize, Val: pick[uint32](g, 5, 1<<24)}}}},
		{{verb: "settings", set: []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 1 << 31}}}},
		{{verb: "frame", n: int(http2.FrameContinuation), fields: []string{"x"}}},
		{{verb: "frame", n: int(http2.FramePushPromise), pad: 4, fields: []string{"\x00\x00\x00\x02\x82"}}},
		{{verb: "frame", n: int(http2.FrameRSTStream), fields: []string{"abc"}}},
		{{verb: "frame", n: int(http2.FrameWindowUpdate), fields: []string{"abc"}}},
		{{verb: "frame", n: int(http2.FrameData), pad: 8, fields: []string{"\xffabc"}}},
		{{verb: "frame", n: int(http2.FrameHeaders), pad: 4, fields: []string{"\xff\xff\xff\xff\xff\xff\xff"}}},
		{{verb: "frame", n: int(http2.FrameSettings)}},
		{{verb: "connframe", n: int(http2.FrameData), fields: []string{"x"}}},
		{{verb: "connframe", n: int(http2.FrameHeaders), pad: 4, fields: []string{"\x88"}}},
		{{verb: "connframe", n: int(http2.FramePing), fields: []string{"short"}}},
		{{verb: "connframe", n: int(http2.FrameSettings), fields: []string{"short"}}},
		{{verb: "connframe", n: int(http2.FrameGoAway), fields: []string{"short"}}},
		{{verb: "connframe", n: int(http2.FrameSettings), pad: 1}}, // an acknowledgment of nothing
		{{verb: "frame", n: int(http2.FrameData), fields: []string{strings.Repeat("x", 2<<20)}}},
	}
}
