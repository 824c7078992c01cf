package differential_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool"
	"github.com/peerpool/peerpool/internal/memtest"
	"github.com/peerpool/peerpool/internal/testkit"
	"golang.org/x/net/http2"
)

// flood is a frame that is sent again and again, while streams 1 and 3 are open and the server reads nothing. The head
// of the response on stream 1 has come.
type flood struct {
	name  string
	frame func() []byte // with its head
	ends  string        // it ends the connection at some time, with this error; "": it does not
}

// frame is a frame as it is sent.
func frame(kind http2.FrameType, flags http2.Flags, stream uint32, payload []byte) []byte {
	b := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), byte(kind), byte(flags)}
	return append(binary.BigEndian.AppendUint32(b, stream), payload...)
}

func every(kind http2.FrameType, flags http2.Flags, stream uint32, payload ...byte) func() []byte {
	f := frame(kind, flags, stream, payload)
	return func() []byte { return f }
}

var floods = []flood{
	{"SETTINGS, whose acknowledgments it does not read", every(http2.FrameSettings, 0, 0), "ENHANCE_YOUR_CALM"},
	{"PING, whose answers it does not read", every(http2.FramePing, 0, 0, make([]byte, 8)...), "ENHANCE_YOUR_CALM"},
	{"answers to PING", every(http2.FramePing, http2.FlagPingAck, 0, make([]byte, 8)...), ""},
	{"empty DATA", every(http2.FrameData, 0, 1), ""},
	{"DATA that is nothing but padding", every(http2.FrameData, http2.FlagDataPadded, 1, 0), ""},
	{"WINDOW_UPDATE of a stream that is over", every(http2.FrameWindowUpdate, 0, 5, 0, 0, 0, 1), ""},
	{"WINDOW_UPDATE", every(http2.FrameWindowUpdate, 0, 3, 0, 0, 0, 1), ""},
	{"WINDOW_UPDATE of the connection", every(http2.FrameWindowUpdate, 0, 0, 0, 0, 0, 1), ""},
	{"PRIORITY", every(http2.FramePriority, 0, 1, 0, 0, 0, 0, 9), ""},
	{"PRIORITY of streams that do not exist", every(http2.FramePriority, 0, 9999, 0, 0, 0, 0, 9), ""},
	{"PRIORITY_UPDATE", every(0x10, 0, 0, 0, 0, 0, 1, 'u', '=', '1'), ""},
	{"frames of an unknown type", every(0xee, 0xff, 3, 'x'), ""},
	{"ALTSVC", every(0x0a, 0, 0, 0, 1, 'x', 'h', '3'), ""},
	{"RST_STREAM of a stream that is over", every(http2.FrameRSTStream, 0, 5, 0, 0, 0, 8), ""},
	{"GOAWAY", every(http2.FrameGoAway, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0), ""},
	{"HEADERS without fields", every(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 5), ""},
	{"HEADERS of a stream that is over", every(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 5, 0x88), ""},
	{"interim responses", every(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 3, 0x48, 3, '1', '0', '3'), ""},
	{"a CONTINUATION without content", func() func() []byte {
		first := frame(http2.FrameHeaders, 0, 3, []byte{0x88})
		rest := frame(http2.FrameContinuation, 0, 3, nil)
		return func() []byte { f := first; first = rest; return f }
	}(), "PROTOCOL_ERROR"},
}

// floodFrames is how many frames a flood has: more than any bound on them.
const floodFrames = 100_000

// floodGrowth bounds the memory that a connection comes to hold in a flood, in bytes.
const floodGrowth = 1 << 20

// A server that floods the client costs it one connection at most. The exchanges on the connection end, or go on
// undisturbed. The client keeps only a bounded part of the flood.
func TestAFloodCostsAConnectionAtMost(t *testing.T) {
	for _, f := range floods {
		t.Run(f.name, func(t *testing.T) {
			testkit.FrameTestOver(t, 64<<10, &peerpool.Transport{MaxResponseHeaderBytes: 64 << 10}, func(h *testkit.Framed) {
				calls := h.Starts("POST", "1", "3", "5")
				c := h.Welcome()
				c.Request()
				c.Request()
				c.Respond(c.Request().Stream, 200, "over")
				calls[2].Gets("over")
				c.Head(1, 200, false)
				synctest.Wait()
				before := memtest.HeapInUse()
				var b bytes.Buffer
				for range floodFrames / 100 {
					b.Reset()
					for range 100 {
						b.Write(f.frame())
					}
					if _, err := c.Nc.Write(b.Bytes()); err != nil {
						break
					}
					synctest.Wait()
				}
				if grown := memtest.HeapInUse() - before; grown > floodGrowth {
					t.Errorf("%d bytes are kept of %d frames", grown, floodFrames)
				}
				if f.ends != "" {
					calls[0].Fails(f.ends)
					calls[1].Fails(f.ends)
					for c.Next() != nil { // until the client closes the connection, in the midst of an answer perhaps
					}
					return
				}
				c.Data(1, "first", true)
				calls[0].Gets("first")
				if !calls[1].Over() { // a bound on interim responses costs their stream
					c.Respond(3, 200, "third")
					calls[1].Gets("third")
				}
			})
		})
	}
}

// A server that floods a connection, with anything, delays neither the Close of a response's body nor a cancellation.
func TestAFloodHoldsUpNoCaller(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		c := h.Used()
		resp, _ := h.Open(c, "3")
		ctx, cancel := context.WithCancel(h.T.Context())
		req, err := http.NewRequestWithContext(ctx, "GET", "http://example.test/", nil)
		if err != nil {
			t.Fatal(err)
		}
		canceled := make(chan error)
		go func() {
			_, err := h.RoundTrip(req)
			canceled <- err
		}()
		c.Request()
		ping := bytes.Repeat(frame(http2.FramePing, 0, 0, make([]byte, 8)), 1000)
		for range 5 { // the answers are not read
			c.Nc.Write(ping)
		}
		resp.Body.Close()
		cancel()
		if err := <-canceled; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// HPACK lets a few bytes stand for a long field. MaxResponseHeaderBytes bounds the decoded fields. Beyond that, the
// response is an error of its stream.
func TestAHeaderBombCostsItsStreamAlone(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{MaxResponseHeaderBytes: 64 << 10}, func(h *testkit.Framed) {
		first := h.Start(h.Request("POST", "1", nil))
		c := h.Welcome()
		c.Request()
		bomb := h.Start(h.Request("POST", "3", nil))
		c.Request()
		// One field of nearly 4 KiB goes into the dynamic table, and 10,000 references to it follow.
		block := c.Encode(":status: 200", "x-bomb: "+strings.Repeat("b", 3900))
		block = append(block, bytes.Repeat([]byte{0x80 | 62}, 10_000)...)
		before := memtest.HeapInUse()
		c.Raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersEndStream, 3, block)
		bomb.Fails("header list")
		if grown := memtest.HeapInUse() - before; grown > floodGrowth {
			t.Errorf("%d bytes are kept", grown)
		}
		// The table is the connection's, and as before for the next response.
		c.Respond(1, 200, "first", "x-bomb: "+strings.Repeat("b", 3900))
		first.Gets("first")
		h.Works(c)
	})
}

// A dynamic table that is filled, emptied and resized with every response holds no more than it may, and every response
// has its own fields.
func TestADynamicTableThatChurnsStaysWithinItsSize(t *testing.T) {
	forgetful := new(peerpool.Observer) // one that keeps the events would take memory for them
	testkit.FrameTest(t, &peerpool.Transport{Observer: forgetful}, func(h *testkit.Framed) {
		c := h.Used()
		before := memtest.HeapInUse()
		for i := range 300 {
			a := h.Fetch("x")
			stream := c.Request().Stream
			var block []byte
			switch i % 3 {
			case 0:
				block = append(block, 0x20)             // a table of size 0
				block = append(block, 0x3f, 0xe1, 0x1f) // of 4096 bytes again
			case 1:
				block = append(block, 0x3f, 0xe1, 0x1f)
			}
			block = append(block, 0x88)
			value := strings.Repeat(string(rune('a'+i%26)), 1000)
			for range 8 { // each pushes another out
				block = append(block, literal("x-churn", value)...)
			}
			block = append(block, 0x80|62) // the last of them again
			c.Raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersEndStream, stream, block)
			a.Gets("")
			got := a.Resp.Header["X-Churn"]
			if len(got) != 9 || got[0] != value || got[8] != value {
				t.Fatalf("response %d has %d fields, %.20q", i, len(got), got)
			}
		}
		if grown := memtest.HeapInUse() - before; grown > 256<<10 {
			t.Errorf("%d bytes are kept", grown)
		}
	})
}

// literal is a field that goes into the dynamic table.
func literal(name, value string) []byte {
	b := append([]byte{0x40, byte(len(name))}, name...)
	b = append(b, 0x7f) // the length is 127 and what follows
	n := len(value) - 127
	for ; n >= 128; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(append(b, byte(n)), value...)
}

// A table that is larger than we allow, or that changes its size within a block, is an error of compression.
func TestATableSizeThatWasNotAllowedEndsTheConnection(t *testing.T) {
	for name, block := range map[string][]byte{
		"larger than allowed":   {0x3f, 0xe2, 0x1f, 0x88},
		"after the first field": append(literal("x", strings.Repeat("v", 200)), 0x20, 0x88),
	} {
		t.Run(name, func(t *testing.T) {
			testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
				a := h.Start(h.Request("POST", "1", nil))
				c := h.Welcome()
				stream := c.Request().Stream
				c.Raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersEndStream, stream, block)
				a.Fails("COMPRESSION_ERROR")
				c.HungUp()
			})
		})
	}
}

// A server may write as slowly as it wants: exchanges wait, and can be given up.
func TestAServerThatWritesOneByteAtATimeIsUnderstood(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		a := h.Fetch("1")
		c := h.Welcome()
		stream := c.Request().Stream
		all := frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, stream, c.Encode(":status: 200", "x-slow: very"))
		all = append(all, frame(http2.FrameData, http2.FlagDataEndStream, stream, []byte("slow"))...)
		for _, b := range all {
			time.Sleep(time.Second)
			c.Nc.Write([]byte{b})
		}
		a.Gets("slow")
		if a.Resp.Header.Get("X-Slow") != "very" {
			t.Errorf("%v", a.Resp.Header)
		}
	})
}
