package h2server

import (
	"strconv"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// write writes a frame, unless writing has failed before.
func (c *FrameConn) write(frame func() error) {
	if c.writeErr == nil {
		c.writeErr = frame()
	}
}

// Settings writes a SETTINGS frame.
func (c *FrameConn) Settings(settings ...http2.Setting) {
	c.write(func() error { return c.framer.WriteSettings(settings...) })
}

// MaxStreams writes a SETTINGS frame that allows the client n streams at once.
func (c *FrameConn) MaxStreams(n uint32) {
	c.Settings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: n})
}

// Head writes the head of a response, or of an interim response. Each field
// has the form "name: value", with the name in lower case. If end is true,
// the response has no body.
func (c *FrameConn) Head(stream uint32, status int, end bool, fields ...string) {
	c.Headers(stream, end, append([]string{":status: " + strconv.Itoa(status)}, fields...)...)
}

// Headers writes fields, including pseudo-fields, as one HEADERS frame and as
// many CONTINUATION frames as they need.
func (c *FrameConn) Headers(stream uint32, end bool, fields ...string) {
	const most = 16 << 10 // the payload that every client accepts
	block := c.Encode(fields...)
	for first := true; first || len(block) > 0; first = false {
		n := min(most, len(block))
		part, last := block[:n], n == len(block)
		block = block[n:]
		c.write(func() error {
			if !first {
				return c.framer.WriteContinuation(stream, last, part)
			}
			return c.framer.WriteHeaders(http2.HeadersFrameParam{
				StreamID: stream, BlockFragment: part, EndStream: end, EndHeaders: last,
			})
		})
	}
}

// Encode returns fields encoded as the payload of a HEADERS frame. The result
// must be written next, because the encoder and the client's decoder keep
// state.
func (c *FrameConn) Encode(fields ...string) []byte {
	c.block.Reset()
	for _, f := range fields {
		// The colon of a pseudo-field is not the one that ends its name.
		name, value, _ := strings.Cut(f[1:], ":")
		// Writing to a bytes.Buffer does not fail.
		_ = c.encoder.WriteField(hpack.HeaderField{Name: f[:1] + name, Value: strings.TrimPrefix(value, " ")})
	}
	return append([]byte(nil), c.block.Bytes()...)
}

// Data writes a DATA frame. It ignores the flow-control window.
func (c *FrameConn) Data(stream uint32, data string, end bool) {
	c.write(func() error { return c.framer.WriteData(stream, end, []byte(data)) })
}

// Respond writes a complete response.
func (c *FrameConn) Respond(stream uint32, status int, body string, fields ...string) {
	c.Head(stream, status, body == "", fields...)
	if body != "" {
		c.Data(stream, body, true)
	}
}

// Reset writes an RST_STREAM frame.
func (c *FrameConn) Reset(stream uint32, code http2.ErrCode) {
	c.write(func() error { return c.framer.WriteRSTStream(stream, code) })
}

// GoAway writes a GOAWAY frame.
func (c *FrameConn) GoAway(last uint32, code http2.ErrCode) {
	c.write(func() error { return c.framer.WriteGoAway(last, code, nil) })
}

// Window writes a WINDOW_UPDATE frame. If stream is 0, the frame is for the
// whole connection.
func (c *FrameConn) Window(stream, n uint32) {
	c.write(func() error { return c.framer.WriteWindowUpdate(stream, n) })
}

// Raw writes a frame of any type, with any payload.
func (c *FrameConn) Raw(kind http2.FrameType, flags http2.Flags, stream uint32, payload []byte) {
	c.write(func() error { return c.framer.WriteRawFrame(kind, flags, stream, payload) })
}

// Serve writes SETTINGS and then calls answer for each request, until the
// client closes the connection.
func (c *FrameConn) Serve(answer func(*FrameConn, *FrameRequest)) {
	c.Settings()
	for req := c.ReadRequest(); req != nil; req = c.ReadRequest() {
		answer(c, req)
	}
}
