// Package h2server is the server's end of an HTTP/2 connection for tests, which decide frame by frame what the client
// gets. It is not part of httptestutil, because its types are those of golang.org/x/net/http2.
package h2server

import (
	"bytes"
	"io"
	"net"
	"net/http"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// FrameConn is the server's end of an HTTP/2 connection, which a test
// controls frame by frame. It writes only what it is told to write, whether
// that is right or wrong. The exception is reading: the methods that read
// answer SETTINGS and PING frames, and give back the flow-control window of
// the DATA frames that they read. Nothing is read unless such a method is
// called. Only one goroutine at a time may use a FrameConn.
//
// A method that reads returns nil if there is nothing more to read. A method
// that writes does nothing after a write has failed. Err returns the reason.
type FrameConn struct {
	// Mute, if true, leaves the client's PING and SETTINGS frames unanswered.
	Mute bool

	nc      net.Conn
	r       io.Reader
	framer  *http2.Framer
	encoder *hpack.Encoder
	block   bytes.Buffer // what encoder writes to
	started bool         // the client's preface has been read

	// What has been read, by stream.
	requests []*FrameRequest // not yet returned by ReadRequest
	early    map[uint32][]byte
	ended    map[uint32]bool
	resets   map[uint32]http2.ErrCode

	readErr, writeErr error
}

// A Frame is a frame that a [FrameConn] has read. Fields that frames of its
// type do not have are zero.
type Frame struct {
	Type   http2.FrameType
	Flags  http2.Flags
	Stream uint32
	End    bool                // HEADERS and DATA: the client has ended the stream
	Code   http2.ErrCode       // RST_STREAM, GOAWAY
	Last   uint32              // GOAWAY: the last stream
	Fields []hpack.HeaderField // HEADERS, including CONTINUATION: pseudo-fields first
	Data   []byte              // DATA, PING
}

// A FrameRequest is the head of a request that a [FrameConn] has read.
type FrameRequest struct {
	Stream uint32
	Method string
	Path   string
	Header http.Header
	Ended  bool // the request has no body
}

// Frames returns the server's end of an HTTP/2 connection on nc. Its Close
// method closes nc. The client's preface is read before its first frame.
func Frames(nc net.Conn) *FrameConn { return FramesOn(nc, nc) }

// FramesOn does what Frames does, but reads from r. A script of a Wire passes
// its connection and itself, so that the Wire notices when the client closes
// the connection.
func FramesOn(nc net.Conn, r io.Reader) *FrameConn {
	c := &FrameConn{
		nc: nc, r: r,
		framer: http2.NewFramer(nc, r),
		early:  map[uint32][]byte{},
		ended:  map[uint32]bool{},
		resets: map[uint32]http2.ErrCode{},
	}
	c.encoder = hpack.NewEncoder(&c.block)
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.framer.AllowIllegalWrites = true
	return c
}

// Close closes the connection.
func (c *FrameConn) Close() { c.nc.Close() }

// CloseWrite closes the direction to the client and leaves the other one
// open. The client then notices the end of the connection in one way alone.
// After Close it gets a reset instead if it had sent something that was not
// read. The connection must have a method CloseWrite, as those of a Wire have.
func (c *FrameConn) CloseWrite() {
	c.write(func() error { return c.nc.(interface{ CloseWrite() error }).CloseWrite() })
}

// Err returns the error with which reading has ended: io.EOF if the client
// has closed the connection in order. If reading has not ended, Err returns
// the error with which writing has failed.
func (c *FrameConn) Err() error {
	if c.readErr != nil {
		return c.readErr
	}
	return c.writeErr
}

// Next returns the client's next frame of any type, or nil if there is none.
func (c *FrameConn) Next() *Frame {
	if !c.readPreface() {
		return nil
	}
	read, err := c.framer.ReadFrame()
	if err != nil {
		c.readErr = err
		return nil
	}
	h := read.Header()
	f := &Frame{Type: h.Type, Flags: h.Flags, Stream: h.StreamID}
	switch read := read.(type) {
	case *http2.MetaHeadersFrame:
		f.Fields, f.End = read.Fields, read.StreamEnded()
	case *http2.DataFrame:
		f.Data, f.End = bytes.Clone(read.Data()), read.StreamEnded()
		c.refill(h.StreamID, h.Length)
	case *http2.RSTStreamFrame:
		f.Code = read.ErrCode
		c.resets[f.Stream] = f.Code
	case *http2.GoAwayFrame:
		f.Code, f.Last = read.ErrCode, read.LastStreamID
	case *http2.SettingsFrame:
		c.heed(read)
	case *http2.PingFrame:
		f.Data = bytes.Clone(read.Data[:])
		if !read.IsAck() && !c.Mute {
			c.write(func() error { return c.framer.WritePing(true, read.Data) })
		}
	}
	c.ended[f.Stream] = c.ended[f.Stream] || f.End
	return f
}

func (c *FrameConn) readPreface() bool {
	if c.started || c.readErr != nil {
		return c.readErr == nil
	}
	_, err := io.ReadFull(c.r, make([]byte, len(http2.ClientPreface)))
	c.started = err == nil
	c.readErr = err
	return c.started
}

// refill gives back the part of the windows that a DATA frame took.
func (c *FrameConn) refill(stream, n uint32) {
	if n > 0 {
		c.write(func() error { return c.framer.WriteWindowUpdate(0, n) })
		c.write(func() error { return c.framer.WriteWindowUpdate(stream, n) })
	}
}

// heed applies the client's settings and acknowledges them.
func (c *FrameConn) heed(s *http2.SettingsFrame) {
	if s.IsAck() {
		return
	}
	if size, ok := s.Value(http2.SettingHeaderTableSize); ok {
		c.encoder.SetMaxDynamicTableSizeLimit(size)
	}
	if !c.Mute {
		c.write(c.framer.WriteSettingsAck)
	}
}

// step does what Next does, for methods that look for something. It keeps the frames that other methods may look for.
func (c *FrameConn) step() *Frame {
	f := c.Next()
	if f == nil {
		return nil
	}
	switch f.Type {
	case http2.FrameData:
		c.early[f.Stream] = append(c.early[f.Stream], f.Data...)
	case http2.FrameHeaders:
		if req := requestOf(f); req.Method != "" { // otherwise it is a trailer
			c.requests = append(c.requests, req)
		}
	}
	return f
}

// Await returns the next frame of the given type on the given stream. It
// discards the frames before it, except those that ReadRequest, ReadBody and
// AwaitReset look for.
func (c *FrameConn) Await(kind http2.FrameType, stream uint32) *Frame {
	for f := c.step(); f != nil; f = c.step() {
		if f.Type == kind && f.Stream == stream {
			return f
		}
	}
	return nil
}

// ReadRequest returns the head of the next request, or nil if there is none.
// It does not read the request's body: see ReadBody.
func (c *FrameConn) ReadRequest() *FrameRequest {
	for len(c.requests) == 0 {
		if c.step() == nil {
			return nil
		}
	}
	req := c.requests[0]
	c.requests = c.requests[1:]
	return req
}

func requestOf(f *Frame) *FrameRequest {
	req := &FrameRequest{Stream: f.Stream, Header: http.Header{}, Ended: f.End}
	for _, field := range f.Fields {
		switch {
		case field.Name == ":method":
			req.Method = field.Value
		case field.Name == ":path":
			req.Path = field.Value
		case !field.IsPseudo():
			req.Header.Add(field.Name, field.Value)
		}
	}
	return req
}

// ReadBody reads the body of a request and reports whether it read the body
// to its end.
func (c *FrameConn) ReadBody(stream uint32) (body string, ok bool) {
	for !c.ended[stream] {
		if _, reset := c.resets[stream]; reset || c.step() == nil {
			return string(c.early[stream]), false
		}
	}
	return string(c.early[stream]), true
}

// AwaitReset waits until the client resets the stream and returns the error
// code. If the client does not reset the stream, ok is false.
func (c *FrameConn) AwaitReset(stream uint32) (code http2.ErrCode, ok bool) {
	for {
		if code, ok = c.resets[stream]; ok || c.step() == nil {
			return code, ok
		}
	}
}
