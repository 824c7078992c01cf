package http2

//lint:file-ignore SA1019 no other exported type holds what a GOAWAY says

import (
	"fmt"
	"time"

	xhttp2 "golang.org/x/net/http2"
)

// goAway handles a GOAWAY (RFC 9113 section 6.8). The server names a last stream. It has not processed the streams beyond
// that one, and they end. The other streams continue.
func (c *Conn) goAway(f *xhttp2.GoAwayFrame) {
	away := &xhttp2.GoAwayError{LastStreamID: f.LastStreamID, ErrCode: f.ErrCode, DebugData: string(f.DebugData())}
	if before := c.away.Load(); before != nil {
		// A server must not raise the number. What it said first about the streams beyond the lower number still holds.
		away.LastStreamID = min(away.LastStreamID, before.LastStreamID)
	}
	c.away.Store(away)
	if away.ErrCode != xhttp2.ErrCodeNo {
		c.engine.count("recv_goaway_" + codeName(away.ErrCode))
	}
	c.mu.Lock()
	if away.ErrCode == xhttp2.ErrCodeEnhanceYourCalm && away.DebugData == "too_many_pings" {
		c.pings.calmLocked()
	}
	c.mu.Unlock()
	c.over(ReasonGoAway) // before the exchanges end, so that their next attempts do not get this connection
	c.mu.Lock()
	for id, x := range c.streams {
		if id <= away.LastStreamID {
			continue
		}
		x.abortLocked(turnedAway(id, away), noReset)
	}
	for _, x := range c.queue {
		x.abortLocked(errGoneAway, noReset)
	}
	c.queue = nil
	c.mu.Unlock()
}

// turnedAway returns the error of a stream that the server has not processed.
func turnedAway(id uint32, away *xhttp2.GoAwayError) error {
	if id == 1 && away.ErrCode != xhttp2.ErrCodeNo {
		return fmt.Errorf("http2: Transport received GOAWAY from server ErrCode:%v", away.ErrCode)
	}
	return errGoneAway
}

// unprocessedLocked reports whether the server has said that it did not process the exchange. A GOAWAY with an error that
// refuses the first request does not count: the server objects to us, not to the connection.
func (x *Exchange) unprocessedLocked() bool {
	if x.reset {
		return x.resetCode == xhttp2.ErrCodeRefusedStream
	}
	away := x.c.away.Load()
	if away == nil || x.id != 0 && x.id <= away.LastStreamID {
		return false
	}
	return away.ErrCode == xhttp2.ErrCodeNo || x.id != 1
}

// deniedLocked reports whether the server has not processed the exchange because it wants HTTP/1.1.
func (x *Exchange) deniedLocked() bool {
	away := x.c.away.Load()
	return away != nil && (x.id == 0 || x.id > away.LastStreamID) && away.ErrCode == xhttp2.ErrCodeHTTP11Required
}

// PingDistance returns how far apart pings without data should be on connections to the server. It returns 0 unless the
// server has complained about too many pings on this connection.
func (c *Conn) PingDistance() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pings.learned
}
