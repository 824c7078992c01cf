package http2

//lint:file-ignore SA1019 see engine.go

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"

	xhttp2 "golang.org/x/net/http2"
)

func anything(frameKind) bool { return true }

// seen follows data in chunks, each one longer than the next of sizes, which start over at their end, and returns the
// frames shown.
func seen(t *testing.T, f *frames, data, sizes []byte, want func(frameKind) bool) (shown []frame) {
	t.Helper()
	for i := 0; len(data) > 0; i++ {
		n := len(data)
		if len(sizes) > 0 {
			n = min(n, int(sizes[i%len(sizes)])+1)
		}
		f.follow(data[:n], want, func(fr frame) {
			fr.payload = bytes.Clone(fr.payload)
			shown = append(shown, fr)
		})
		data = data[n:]
		if cap(f.payload) > 2*maxPayload {
			t.Fatalf("%d bytes are kept", cap(f.payload))
		}
	}
	return shown
}

func sameFrames(a, b []frame) bool {
	return slices.EqualFunc(a, b, func(a, b frame) bool {
		return a.kind == b.kind && a.flags == b.flags && a.stream == b.stream && bytes.Equal(a.payload, b.payload)
	})
}

// oracle is what x/net takes for the frames in data, their payloads cut as ours are.
func oracle(data []byte) (read []frame) {
	r := bytes.NewReader(data)
	for {
		h, err := xhttp2.ReadFrameHeader(r)
		if err != nil {
			return read
		}
		payload := make([]byte, min(int(h.Length), r.Len()))
		if n, _ := io.ReadFull(r, payload); n < int(h.Length) {
			return read
		}
		payload = payload[:min(len(payload), maxPayload)]
		read = append(read, frame{frameKind(h.Type), uint8(h.Flags), h.StreamID, payload})
	}
}

// checkMeaning compares what we read in the frames of data with what x/net does, as far as it accepts them.
func checkMeaning(t *testing.T, data []byte, shown []frame) {
	t.Helper()
	fr := xhttp2.NewFramer(io.Discard, bytes.NewReader(data))
	for _, f := range shown {
		read, err := fr.ReadFrame()
		if err != nil {
			return // and it would have closed the connection, or reset the stream
		}
		switch read := read.(type) {
		case *xhttp2.SettingsFrame:
			if read.Header().Length > maxPayload {
				continue
			}
			// x/net applies them in order.
			var want uint32
			found := false
			_ = read.ForeachSetting(func(s xhttp2.Setting) error {
				if s.ID == xhttp2.SettingMaxConcurrentStreams {
					want, found = s.Val, true
				}
				return nil
			})
			if got, ok := f.setting(settingMaxConcurrentStreams); got != want || ok != found {
				t.Errorf("%d, %v streams, want %d, %v", got, ok, want, found)
			}
			if read.IsAck() != (f.flags&flagAck != 0) {
				t.Error("an acknowledgment is not taken for one")
			}
		case *xhttp2.GoAwayFrame:
			last, code, ok := f.goAway()
			if !ok || last != read.LastStreamID || code != uint32(read.ErrCode) {
				t.Errorf("GOAWAY %d, %d, %v, want %+v", last, code, ok, read)
			}
		case *xhttp2.RSTStreamFrame:
			if code, ok := f.code(); !ok || code != uint32(read.ErrCode) || f.stream != read.StreamID {
				t.Errorf("RST_STREAM %d, %v, want %+v", code, ok, read)
			}
		}
	}
}

// conversation is some frames of all kinds.
func conversation() []byte {
	var b bytes.Buffer
	fr := xhttp2.NewFramer(&b, nil)
	fr.AllowIllegalWrites = true
	for _, err := range []error{
		fr.WriteSettings(),
		fr.WriteSettings(xhttp2.Setting{ID: 1, Val: 2}, xhttp2.Setting{ID: 3, Val: 100}, xhttp2.Setting{ID: 3, Val: 7}),
		fr.WriteSettingsAck(),
		fr.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte("abc"), EndHeaders: true}),
		fr.WriteData(1, false, bytes.Repeat([]byte("SETTINGS"), 2000)),
		fr.WriteData(1, true, nil),
		fr.WriteRSTStream(1<<31-1, xhttp2.ErrCodeProtocol),
		fr.WriteRawFrame(0xbe, 0xff, 5, []byte("whatever")),
		fr.WritePing(true, [8]byte{1, 2}),
		fr.WriteGoAway(1, xhttp2.ErrCodeHTTP11Required, bytes.Repeat([]byte("debug"), 3000)),
		fr.WriteRawFrame(xhttp2.FrameGoAway, 0, 0, []byte{1, 2, 3}),
		fr.WriteRawFrame(xhttp2.FrameRSTStream, 0, 1, nil),
		fr.WriteRawFrame(xhttp2.FrameSettings, 0, 0, []byte{0, 3, 0, 0, 0}),
		fr.WriteWindowUpdate(0, 1),
	} {
		if err != nil {
			panic(err)
		}
	}
	return b.Bytes()
}

func TestFramesAreFollowedHoweverTheyCome(t *testing.T) {
	data := conversation()
	want := oracle(data)
	if len(want) != 14 {
		t.Fatalf("%d frames", len(want))
	}
	for cut := range 300 {
		var f frames
		shown := seen(t, &f, data[:cut], nil, anything)
		shown = append(shown, seen(t, &f, data[cut:], nil, anything)...)
		if !sameFrames(shown, want) {
			t.Fatalf("cut at %d:\n%+v\nwant\n%+v", cut, shown, want)
		}
	}
	for size := range 256 {
		if shown := seen(t, new(frames), data, []byte{byte(size)}, anything); !sameFrames(shown, want) {
			t.Fatalf("in pieces of %d:\n%+v", size+1, shown)
		}
	}
	checkMeaning(t, data, want)
}

func TestOnlyTheFramesThatAreWantedAreShown(t *testing.T) {
	var want []frame
	for _, f := range oracle(conversation()) {
		if telling(f.kind) {
			want = append(want, f)
		}
	}
	for _, sizes := range [][]byte{nil, {0}, {8}, {3, 200}} {
		if shown := seen(t, new(frames), conversation(), sizes, telling); !sameFrames(shown, want) {
			t.Errorf("in pieces of %v: %+v", sizes, shown)
		}
	}
}

func TestThePrefaceIsPassedOver(t *testing.T) {
	data := append([]byte(xhttp2.ClientPreface), conversation()...)
	if len(xhttp2.ClientPreface) != prefaceLen {
		t.Fatalf("the preface is %d bytes long", len(xhttp2.ClientPreface))
	}
	for _, sizes := range [][]byte{nil, {0}, {22}, {23}, {24}} {
		if shown := seen(t, &frames{skip: prefaceLen}, data, sizes, anything); !sameFrames(shown, oracle(conversation())) {
			t.Errorf("in pieces of %v: %+v", sizes, shown)
		}
	}
}

func TestTheLongestFrameIsKeptInPartOnly(t *testing.T) {
	var b bytes.Buffer
	fr := xhttp2.NewFramer(&b, nil)
	if err := fr.WriteGoAway(7, xhttp2.ErrCodeNo, []byte(strings.Repeat("x", 1<<24-9))); err != nil {
		t.Fatal(err)
	}
	if err := fr.WriteSettingsAck(); err != nil {
		t.Fatal(err)
	}
	shown := seen(t, new(frames), b.Bytes(), nil, anything)
	if len(shown) != 2 || len(shown[0].payload) != maxPayload || shown[1].kind != frameSettings {
		t.Fatalf("%d frames", len(shown))
	}
	if last, _, ok := shown[0].goAway(); last != 7 || !ok {
		t.Errorf("%d, %v", last, ok)
	}
}

func TestFramesThatNobodyWantsCostNothing(t *testing.T) {
	data := conversation()
	var f frames
	none := func(frameKind) bool { return false }
	if n := testing.AllocsPerRun(100, func() { f.follow(data, none, nil) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Whatever a server sends, and however it arrives, we see what x/net sees, in bounded memory.
func FuzzFrames(f *testing.F) {
	f.Add(conversation(), []byte{0})
	f.Add(conversation()[:100], []byte{8, 0, 250})
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"), []byte{})
	f.Add(bytes.Repeat([]byte{0}, 90), []byte{9})
	f.Add(bytes.Repeat([]byte{0xff}, 50), []byte{1})
	f.Fuzz(func(t *testing.T, data, sizes []byte) {
		want := oracle(data)
		if shown := seen(t, new(frames), data, sizes, anything); !sameFrames(shown, want) {
			t.Errorf("in pieces of %v: %+v\nwant %+v", sizes, shown, want)
		}
		checkMeaning(t, data, want)
	})
}
