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

// The body of a request. One that lies in memory and is small goes out with the head; any other has a goroutine, which
// reads it into frames.

const (
	// maxInline is the size in bytes up to which a body that lies in memory is sent with the head.
	maxInline = 8 << 10

	// record is how many bytes a record of TLS holds. Frames are made so that they fill whole ones.
	record = 16 << 10
	// smallFrame and largeFrame are the sizes in bytes of the frames that a body is read into. It is read into large ones
	// once it has filled some small ones: then it is long, and comes fast.
	smallFrame = record
	largeFrame = 16 * record
	fullReads  = 4
)

var (
	errBodyTooLong = errors.New("http2: request body larger than specified content length")
	errGoexit      = errors.New("peerpool: the request's body has ended the goroutine that read from it")
	errUnwanted    = errors.New("peerpool: the server does not want the rest of the request's body")
)

// upload sends a body that may block. Its goroutine belongs to the exchange; it ends when the body does, or when the
// stream has ended and the body's Read returns.
type upload struct {
	exchange.Body
	x      *Exchange
	length int64       // -1: unknown
	expect bool        // 100 Continue is waited for
	small  []byte      // what has been read of it, all there is, where it lies in memory; nil: it does not
	inline bool        // small has gone out with the head
	timer  *time.Timer // for the server to take more; nil before the first use
	heard  int64       // Conn.heard when that began
}

// These hold the frames that bodies are read into.
var (
	smallFrames = sync.Pool{New: func() any { b := make([]byte, smallFrame); return &b }}
	largeFrames = sync.Pool{New: func() any { b := make([]byte, largeFrame); return &b }}
)

// planBody decides how to send the request's body.
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

// sendSmallLocked sends a small body behind the head, if the windows allow that. If not, the upload sends it.
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

// sent is called when the body has been sent, or will not be.
func (u *upload) sent(err error) {
	x := u.x
	if u.Touched() { // else it may be sent with another attempt
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
		// What the server has said before may still be on its way, and be a response or a refusal. The exchange ends
		// with that, or with the reading.
		err = x.c.out.err
	} else {
		x.abortLocked(err, xhttp2.ErrCodeCancel)
	}
	x.c.unlockAndFlush()
	x.requestSent(err)
}

// send sends the body, and the trailer. An error of the body's own is a BodyError.
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
			err = errBodyTooLong // of one that is too short the server sees that it is
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

// atEnd reads on when as much has come as there should be, so that the last frame can say that it is the last.
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

// sendData sends what lies behind the room for a frame's head, in as many frames as the windows make of it.
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
		buf = buf[n:] // the next head overwrites what has been sent
	}
}

// wholeRecords returns the longest payload of a frame that fills whole records, and that the server takes.
func wholeRecords(maxFrame uint32) sendWindow {
	return (sendWindow(maxFrame)+frameHead)/record*record - frameHead
}

// takeWindow waits until the server takes something, and returns how much of n bytes.
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

// sendTrailer ends the request with its trailer, which the body may have filled in. It is the caller's as the body is.
func (u *upload) sendTrailer() error {
	return u.Use(func(io.Reader) error { return u.writeTrailer() })
}

func (u *upload) writeTrailer() error {
	x, c := u.x, u.x.c
	trailer := x.req.Trailer
	var s fieldSizer
	for name, values := range trailer {
		if _, err := trailerNames(http.Header{name: nil}); err != nil {
			return &exchange.BodyError{Err: err}
		}
		if !httpguts.ValidHeaderFieldName(name) || !allText(values) {
			return &exchange.BodyError{Err: fmt.Errorf("net/http: invalid trailer field %q", name)}
		}
		for _, value := range values {
			s.field(name, value)
		}
	}
	c.mu.Lock()
	defer c.unlockAndFlush()
	switch {
	case x.over != nil:
		return x.over
	case s.size > c.peer.headerList:
		return errTrailerSize
	case s.size == 0:
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

// awaitContinue waits for 100 Continue, for a final response, or for the time allowed (RFC 9110 section 10.1.1). It
// says whether to send the body.
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
