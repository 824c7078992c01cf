package http2

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/peerpool/peerpool/internal/ascii"
	"github.com/peerpool/peerpool/internal/exchange"
	"golang.org/x/net/http/httpguts"
	xhttp2 "golang.org/x/net/http2"
)

// The body of a request. A small body in memory is sent with the head. Any other body has a goroutine that reads it into
// frames.

const (
	// maxInline is the largest size, in bytes, of a body in memory that is sent with the head.
	maxInline = 8 << 10

	// record is how many bytes a record of TLS holds. The lengths of frames are chosen so that the frames fill whole records.
	record = 16 << 10
	// smallFrame and largeFrame are the sizes, in bytes, of the buffers that a body is read into. An upload uses a large one
	// once the body has filled fullReads small ones in a row: then the body is long, and comes fast.
	smallFrame = record
	largeFrame = 16 * record
	fullReads  = 4
)

var (
	errBodyTooLong = errors.New("http2: request body larger than specified content length")
	errGoexit      = errors.New("peerpool: the request's body has ended the goroutine that read from it")
	errUnwanted    = errors.New("peerpool: the server does not want the rest of the request's body")
)

// upload sends the body of a request. A body that may block has a goroutine, which belongs to the exchange. The goroutine
// ends when the body ends, or when the stream has ended and the body's Read returns.
type upload struct {
	exchange.Body
	x      *Exchange
	length int64       // -1 if unknown
	expect bool        // the upload waits for 100 Continue
	small  []byte      // a small body in memory, whole, behind room for a frame's head; nil for any other body
	inline bool        // small has been sent with the head
	timer  *time.Timer // for BodyWriteTimeout; nil before its first use
	heard  int64       // Conn.heard when the timer was last started
}

// smallFrames and largeFrames hold the buffers that bodies are read into.
var (
	smallFrames = sync.Pool{New: func() any { b := make([]byte, smallFrame); return &b }}
	largeFrames = sync.Pool{New: func() any { b := make([]byte, largeFrame); return &b }}
)

// planBody decides how to send the request's body. It reads a small body in memory.
func (x *Exchange) planBody() error {
	req := x.req
	length := bodyLength(req)
	if length == 0 && len(req.Trailer) == 0 {
		return nil
	}
	u := &upload{x: x, length: length}
	body := req.Body
	if body == nil {
		body = http.NoBody
	}
	u.Init(body)
	u.expect = x.c.engine.expectTimeout > 0 && exchange.ExpectsContinue(req.Header)
	x.Body = &u.Body
	x.c.mu.Lock()
	x.upload = u
	x.c.mu.Unlock()
	x.Body = &u.Body
	if u.expect || length <= 0 || length > maxInline || len(req.Trailer) > 0 || exchange.InMemory(exchange.Source(body)) == nil {
		return nil
	}
	buf := make([]byte, frameHead+length+1)
	n, err := io.ReadFull(u, buf[frameHead:])
	switch {
	case err == nil:
		return &exchange.BodyError{Err: errBodyTooLong}
	case err != io.EOF && err != io.ErrUnexpectedEOF:
		return &exchange.BodyError{Err: err}
	}
	u.small = buf[:frameHead+n]
	return nil
}

// sendSmallLocked sends a small body behind the head, if the windows allow that. Otherwise the upload's goroutine sends it.
func (x *Exchange) sendSmallLocked() {
	c, u := x.c, x.upload
	small := u.small[frameHead:]
	n := sendWindow(len(small))
	if n > x.window || n > c.window {
		return
	}
	x.window -= n
	c.window -= n
	u.inline = true
	c.out.frame(xhttp2.FrameData, xhttp2.FlagDataEndStream, x.id, small)
	x.sentLocked()
}

// run is the upload's goroutine.
func (u *upload) run() {
	err := error(&exchange.BodyError{Err: errGoexit})
	defer func() { u.sent(err) }()
	err = u.send()
}

// sent is called when the body has been sent, or when the upload has given up.
func (u *upload) sent(err error) {
	x := u.x
	if u.Touched() { // otherwise another attempt may send it
		if closeErr := u.Close(); err == nil && closeErr != nil {
			err = &exchange.BodyError{Err: closeErr}
		}
	}
	if err == nil || err == errUnwanted || errors.Is(err, exchange.ErrStopped) {
		x.requestSent(nil)
		return
	}
	x.c.mu.Lock()
	if err == errUnwritten {
		// A response or a refusal that the server has sent may still be on its way. The exchange ends with that, or when
		// reading from the connection ends.
		err = x.c.out.err
	} else {
		x.abortLocked(err, xhttp2.ErrCodeCancel)
	}
	x.c.unlockAndFlush()
	x.requestSent(err)
}

// send sends the body and the trailer. If the request's own body fails, it returns a BodyError.
func (u *upload) send() error {
	if u.expect && !u.awaitContinue() {
		return errUnwanted
	}
	if u.small != nil {
		return u.sendData(u.small, true)
	}
	pool := &smallFrames
	frame := pool.Get().(*[]byte)
	defer func() { pool.Put(frame) }()
	var total int64
	trailer := len(u.x.req.Trailer) > 0
	for full := 0; ; {
		if full == fullReads && pool == &smallFrames && u.x.limits().BodyWriteTimeout == 0 {
			pool.Put(frame)
			pool = &largeFrames
			frame = pool.Get().(*[]byte)
		}
		buf := *frame
		n, err := u.Read(buf[frameHead:])
		if full++; n < len(buf)-frameHead {
			full = 0
		}
		total += int64(n)
		if err == nil && total == u.length {
			err = u.atEnd(&total)
		}
		if u.length >= 0 && total > u.length {
			err = errBodyTooLong // the server itself notices a body that is too short
		}
		if err != nil && err != io.EOF {
			if errors.Is(err, exchange.ErrStopped) {
				return err
			}
			return &exchange.BodyError{Err: err}
		}
		last := err == io.EOF
		if n > 0 || last && !trailer {
			if err := u.sendData(buf[:frameHead+n], last && !trailer); err != nil {
				return err
			}
		}
		if last {
			break
		}
	}
	if trailer {
		return u.sendTrailer()
	}
	return nil
}

// atEnd reads on when the body has reached its declared length, so that the last frame can say that it is the last.
func (u *upload) atEnd(total *int64) error {
	var one [1]byte
	for {
		n, err := u.Read(one[:])
		*total += int64(n)
		if n > 0 || err != nil {
			return err
		}
	}
}

// sendData sends the bytes of buf behind the room for a frame's head. It makes as many frames as the windows require.
func (u *upload) sendData(buf []byte, last bool) error {
	for {
		left := len(buf) - frameHead
		u.expectProgress()
		n, err := u.x.takeWindow(left)
		if err == nil {
			err = u.x.c.writeData(u.x, buf[:frameHead+n], last && n == left)
		}
		u.progressed()
		if err != nil {
			return err
		}
		if n == left {
			return nil
		}
		buf = buf[n:] // the head of the next frame overwrites bytes that have been sent
	}
}

// wholeRecords returns the length of the longest payload with which a frame fills whole records and which the server accepts.
func wholeRecords(maxFrame uint32) sendWindow {
	return (sendWindow(maxFrame)+frameHead)/record*record - frameHead
}

// takeWindow waits until the windows allow DATA. It returns how many of n bytes the caller may send, and takes them from the
// windows.
func (x *Exchange) takeWindow(n int) (int, error) {
	c := x.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case x.over != nil:
			return 0, x.over
		case x.unwanted:
			return 0, errUnwanted
		case c.out.err != nil:
			return 0, errUnwritten
		case n == 0:
			return 0, nil
		}
		if may := min(sendWindow(n), x.window, c.window, wholeRecords(c.peer.maxFrame)); may > 0 {
			x.window -= may
			c.window -= may
			return int(may), nil
		}
		x.cond.Wait()
	}
}

// sendTrailer ends the request with its trailer. The body may have filled in the trailer. The trailer belongs to the caller,
// as the body does, so sendTrailer reads it within [exchange.Body.Use].
func (u *upload) sendTrailer() error {
	return u.Use(func(io.Reader) error { return u.writeTrailer() })
}

func (u *upload) writeTrailer() error {
	x, c := u.x, u.x.c
	trailer := x.req.Trailer
	var size uint64
	for name, values := range trailer {
		if _, err := trailerNames(http.Header{name: nil}); err != nil {
			return &exchange.BodyError{Err: err}
		}
		if !httpguts.ValidHeaderFieldName(name) || !allText(values) {
			return &exchange.BodyError{Err: fmt.Errorf("net/http: invalid trailer field %q", name)}
		}
		for _, value := range values {
			size += sizeOf(field{name, value})
		}
	}
	c.mu.Lock()
	defer c.unlockAndFlush()
	switch {
	case x.over != nil:
		return x.over
	case size > c.peer.headerList:
		return errTrailerSize
	case size == 0:
		c.out.frame(xhttp2.FrameData, xhttp2.FlagDataEndStream, x.id, nil)
	default:
		c.sendTrailerLocked(x, trailer)
	}
	x.sentLocked()
	return nil
}

// allText reports whether the values have no line end and no other control character, which a gateway might pass on over
// HTTP/1.1 (RFC 9113 section 10.3).
func allText(values []string) bool {
	for _, value := range values {
		if !ascii.IsText(value) {
			return false
		}
	}
	return true
}

// awaitContinue waits for 100 Continue, for a final response, or for ExpectContinueTimeout (RFC 9110 section 10.1.1). It
// reports whether to send the body.
func (u *upload) awaitContinue() bool {
	x, c := u.x, u.x.c
	if t := x.trace; t != nil && t.Wait100Continue != nil {
		t.Wait100Continue()
	}
	late := false
	timer := time.AfterFunc(c.engine.expectTimeout, func() {
		c.mu.Lock()
		late = true
		x.cond.Broadcast()
		c.mu.Unlock()
	})
	defer timer.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for !late && !x.proceed && !x.headed && x.over == nil {
		x.cond.Wait()
	}
	return x.over == nil && !(x.headed && x.resp.StatusCode > 299)
}
