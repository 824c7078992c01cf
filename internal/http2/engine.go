package http2

import (
	"encoding/binary"
	"math"
	"net/http"
	"time"

	xhttp2 "golang.org/x/net/http2"
)

const (
	defaultPingAfter   = 15 * time.Second // SendPingTimeout
	defaultPingTimeout = 15 * time.Second

	// initialStreams is how many streams a connection serves before its server has sent a limit, unless another connection to
	// the server has shown the limit. RFC 9113 section 6.5.2 recommends that the limit is not lower. If it is, the server
	// refuses the streams beyond it.
	initialStreams = 100
	// defaultStreams is how many streams a connection serves if its server sets no limit.
	defaultStreams = 1000

	defaultHeaderList  = 10 << 20 // bytes
	defaultTable       = 4 << 10  // bytes of a dynamic table (RFC 9113 section 6.5.2)
	defaultMaxFrame    = 16 << 10 // bytes of a payload
	largestMaxFrame    = 1<<24 - 1
	fieldOverhead      = 32 // bytes that a field counts in addition to its name and its value
	typicalFieldsExtra = 10 * fieldOverhead
)

// Config holds the settings of a Transport that concern HTTP/2.
type Config struct {
	HTTP2                  *http.HTTP2Config // nil means its zero value
	ExpectContinueTimeout  time.Duration
	DisableCompression     bool
	MaxResponseHeaderBytes int64
	MaxStreams             int // how many a connection may have at a time; 0 means as many as the server allows
}

// Engine makes connections that share a configuration. It is safe for concurrent use.
type Engine struct {
	maxStreams    int
	strict        bool          // exchanges wait for a stream of their connection
	pingAfter     time.Duration // negative means never
	pingTimeout   time.Duration
	writeTimeout  time.Duration // 0 means no limit
	expectTimeout time.Duration // 0 means that the body is sent at once
	gzip          bool
	maxHeader     int64  // bytes of a header list, as the RFC counts them
	maxFrame      uint32 // bytes of a payload that the server may send
	decoderTable  uint32
	encoderTable  uint32
	streamWindow  int64 // the largest window of a stream
	connWindow    int64 // of the whole connection
	connBounded   bool  // we open the connection's window when a body is read, rather than when bytes arrive
	countError    func(string)
	preface       []byte // the first bytes that a connection sends
}

// New returns an Engine.
func New(c Config) *Engine {
	var h http.HTTP2Config
	if c.HTTP2 != nil {
		h = *c.HTTP2
	}
	e := &Engine{
		maxStreams:    c.MaxStreams,
		strict:        h.StrictMaxConcurrentRequests,
		pingAfter:     h.SendPingTimeout,
		pingTimeout:   h.PingTimeout,
		writeTimeout:  max(0, h.WriteByteTimeout),
		expectTimeout: max(0, c.ExpectContinueTimeout),
		gzip:          !c.DisableCompression,
		maxHeader:     defaultHeaderList,
		maxFrame:      uint32(within(h.MaxReadFrameSize, defaultMaxFrame, largestMaxFrame, defaultMaxFrame)),
		decoderTable:  uint32(within(h.MaxDecoderHeaderTableSize, 1, math.MaxInt32, defaultTable)),
		encoderTable:  uint32(within(h.MaxEncoderHeaderTableSize, 1, math.MaxInt32, defaultTable)),
		streamWindow:  int64(within(h.MaxReceiveBufferPerStream, 1, maxWindow, defaultStreamWindow)),
		connWindow:    defaultConnWindow,
		countError:    h.CountError,
	}
	if e.pingAfter == 0 {
		e.pingAfter = defaultPingAfter
	}
	if e.pingTimeout <= 0 {
		e.pingTimeout = defaultPingTimeout
	}
	if n := c.MaxResponseHeaderBytes; n > 0 {
		e.maxHeader = min(n, math.MaxUint32-typicalFieldsExtra) + typicalFieldsExtra
	}
	if n := within(h.MaxReceiveBufferPerConnection, initialWindow, maxWindow-initialWindow, 0); n > 0 {
		e.connWindow, e.connBounded = int64(n)+initialWindow, true
	}
	e.preface = e.makePreface()
	return e
}

// within returns n if n is from low to high, and otherwise if it is not.
func within(n, low, high, otherwise int) int {
	if n < low || n > high {
		return otherwise
	}
	return n
}

// firstWindow returns the window that every stream begins with.
func (e *Engine) firstWindow() int64 { return min(e.streamWindow, smallWindow) }

// makePreface returns the client's preface: the magic octets, SETTINGS, and the window of the connection (RFC 9113
// section 3.4).
func (e *Engine) makePreface() []byte {
	settings := []xhttp2.Setting{
		{ID: xhttp2.SettingEnablePush, Val: 0},
		{ID: xhttp2.SettingInitialWindowSize, Val: uint32(e.firstWindow())},
		{ID: xhttp2.SettingMaxFrameSize, Val: e.maxFrame},
		{ID: xhttp2.SettingMaxHeaderListSize, Val: uint32(e.maxHeader)},
	}
	if e.decoderTable != defaultTable {
		settings = append(settings, xhttp2.Setting{ID: xhttp2.SettingHeaderTableSize, Val: e.decoderTable})
	}
	b := []byte(xhttp2.ClientPreface)
	b = appendFrame(b, 6*len(settings), xhttp2.FrameSettings, 0, 0)
	for _, s := range settings {
		b = binary.BigEndian.AppendUint16(b, uint16(s.ID))
		b = binary.BigEndian.AppendUint32(b, s.Val)
	}
	return appendUint32Frame(b, xhttp2.FrameWindowUpdate, 0, uint32(e.connWindow-initialWindow))
}
