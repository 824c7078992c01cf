package http2

import (
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strconv"
	"strings"

	"github.com/peerpool/peerpool/internal/exchange"
	xhttp2 "golang.org/x/net/http2"
)

// The response of an exchange: waiting for it, and what the caller sees of it.

// requestSent is called when the whole request has been sent, or when err has ended the sending.
func (x *Exchange) requestSent(err error) {
	if t := x.trace; t != nil && t.WroteRequest != nil {
		t.WroteRequest(httptrace.WroteRequestInfo{Err: err})
	}
	if err == nil && x.timing != nil {
		x.awaitHead()
	}
}

// await waits for the head of the final response. It passes the interim responses before it to the trace.
func (x *Exchange) await() error {
	c := x.c
	told := x.trace == nil
	c.mu.Lock()
	for {
		for !x.headed && x.over == nil && len(x.interim) == 0 {
			x.waitLocked()
		}
		interim := x.interim
		x.interim = nil
		headed, started, over := x.headed, x.started, x.over
		if headed {
			x.gotHeadLocked()
		}
		c.mu.Unlock()
		if !told && started {
			told = true
			if t := x.trace; t.GotFirstResponseByte != nil {
				t.GotFirstResponseByte()
			}
		}
		for _, i := range interim {
			x.traceInterim(i)
		}
		switch {
		case headed:
			return nil
		case len(interim) > 0:
		case over != nil:
			return over
		}
		c.mu.Lock()
		if len(interim) > 0 && x.trace.Got1xxResponse != nil {
			x.interims = 0 // Got1xxResponse has seen them, and limits them if it returns an error
		}
	}
}

// gotHeadLocked is called when the head of the final response has come.
func (x *Exchange) gotHeadLocked() {
	x.stopTimerLocked()
	if x.resp.StatusCode > 299 {
		x.unwanted = true // as with net/http
		x.cond.Broadcast()
	}
}

// traceHead passes the head to the trace. The head has been written or is about to be.
func (x *Exchange) traceHead(head fields) {
	t := x.trace
	if t == nil {
		return
	}
	if t.WroteHeaderField != nil {
		for _, f := range head {
			t.WroteHeaderField(f.name, []string{f.value})
		}
	}
	if t.WroteHeaders != nil {
		t.WroteHeaders()
	}
}

// traceInterim passes an interim response to the trace. The trace can end the exchange with an error if it has seen enough.
func (x *Exchange) traceInterim(i interim) {
	t := x.trace
	if t.Got1xxResponse != nil {
		if err := t.Got1xxResponse(i.status, textproto.MIMEHeader(i.header)); err != nil {
			x.c.mu.Lock()
			x.abortLocked(xhttp2.StreamError{StreamID: x.id, Code: xhttp2.ErrCodeProtocol, Cause: err}, xhttp2.ErrCodeProtocol)
			x.c.unlockAndFlush()
		}
	}
	if i.status != http.StatusContinue {
		return
	}
	if t.Got100Continue != nil {
		t.Got100Continue()
	}
	x.c.mu.Lock()
	x.proceed = true
	x.cond.Broadcast()
	x.c.mu.Unlock()
}

// respond completes the response after its head has come.
func (x *Exchange) respond() *http.Response {
	r := &x.resp
	r.Status = statusText(r.StatusCode)
	r.Proto, r.ProtoMajor = "HTTP/2.0", 2
	r.TLS, r.Request = x.c.tls, x.req
	x.announceTrailer()
	empty := x.bare // it does not change any more, and neither does left if bare is set
	if empty && r.ContentLength < 0 && !x.head {
		r.ContentLength = 0
	}
	if x.upload != nil {
		x.Touched = true
		if r.StatusCode > 299 {
			x.upload.Stop()
		}
	}
	x.Wrote, x.Started, x.Status = true, true, int32(r.StatusCode)
	switch {
	case x.head || empty && x.left <= 0:
		r.Body, x.nothing = noBody, true
	default:
		r.Body = (*responseBody)(x)
		if x.gzip && exchange.IsGzip(r.Header) {
			exchange.Ungzip(r, (*responseBody)(x))
		}
	}
	return r
}

func statusText(code int) string {
	if code == http.StatusOK {
		return "200 OK"
	}
	return strconv.Itoa(code) + " " + http.StatusText(code)
}

// announceTrailer makes the names in the Trailer field keys of the response's Trailer.
func (x *Exchange) announceTrailer() {
	r := &x.resp
	said := r.Header["Trailer"]
	if said == nil {
		return
	}
	delete(r.Header, "Trailer")
	r.Trailer = make(http.Header)
	for _, line := range said {
		for name := range strings.SplitSeq(line, ",") {
			if name = textproto.TrimString(name); name != "" {
				r.Trailer[textproto.CanonicalMIMEHeaderKey(name)] = nil
			}
		}
	}
}
