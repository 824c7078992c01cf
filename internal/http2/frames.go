package http2

import "encoding/binary"

// frameKind is the type of a frame (RFC 9113 section 6).
type frameKind uint8

const (
	frameHeaders   frameKind = 0x1
	frameRSTStream frameKind = 0x3
	frameSettings  frameKind = 0x4
	frameGoAway    frameKind = 0x7
)

const (
	frameHead  = 9 // bytes
	flagAck    = 0x1
	maxPayload = 4 << 10 // bytes of a payload that are looked at

	settingMaxConcurrentStreams = 0x3

	codeNo             = 0x0
	codeProtocol       = 0x1
	codeHTTP11Required = 0xd
)

// frames follows one direction of a connection and shows its frames, as far as anybody wants to see them. It accepts
// everything: what is malformed is x/net's to refuse.
type frames struct {
	skip    int // bytes of the stream to pass over first
	head    [frameHead]byte
	have    int    // bytes of head
	left    int    // bytes of the payload to come
	payload []byte // of a frame that is wanted, as far as it has come
	wanted  bool
}

// frame is one that has passed by: a whole one, or the first bytes of a long one.
type frame struct {
	kind    frameKind
	flags   uint8
	stream  uint32
	payload []byte
}

// follow looks at the next bytes of the direction. Of the kinds that want says true for, see is called with the
// payload; it must not keep it.
func (f *frames) follow(p []byte, want func(frameKind) bool, see func(frame)) {
	for len(p) > 0 {
		switch {
		case f.skip > 0:
			n := min(f.skip, len(p))
			f.skip -= n
			p = p[n:]
		case f.have < frameHead:
			n := copy(f.head[f.have:], p)
			f.have += n
			p = p[n:]
			if f.have < frameHead {
				return
			}
			f.left = int(f.head[0])<<16 | int(f.head[1])<<8 | int(f.head[2])
			f.wanted = want(frameKind(f.head[3]))
			f.payload = f.payload[:0]
			f.passed(see)
		default:
			n := min(f.left, len(p))
			if f.wanted {
				f.payload = append(f.payload, p[:min(n, maxPayload-len(f.payload))]...)
			}
			f.left -= n
			p = p[n:]
			f.passed(see)
		}
	}
}

// passed shows the frame if it has come to its end.
func (f *frames) passed(see func(frame)) {
	if f.left > 0 {
		return
	}
	f.have = 0
	if f.wanted {
		see(frame{
			kind:    frameKind(f.head[3]),
			flags:   f.head[4],
			stream:  binary.BigEndian.Uint32(f.head[5:]) &^ (1 << 31),
			payload: f.payload,
		})
	}
}

// setting returns the last value of a setting in a SETTINGS frame.
func (f frame) setting(id uint16) (value uint32, ok bool) {
	for p := f.payload; len(p) >= 6; p = p[6:] {
		if binary.BigEndian.Uint16(p) == id {
			value, ok = binary.BigEndian.Uint32(p[2:]), true
		}
	}
	return value, ok
}

// goAway returns the last stream and the error code of a GOAWAY frame.
func (f frame) goAway() (last, code uint32, ok bool) {
	if len(f.payload) < 8 {
		return 0, 0, false
	}
	return binary.BigEndian.Uint32(f.payload) &^ (1 << 31), binary.BigEndian.Uint32(f.payload[4:]), true
}

// code returns the error code of an RST_STREAM frame.
func (f frame) code() (code uint32, ok bool) {
	if len(f.payload) < 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(f.payload), true
}
