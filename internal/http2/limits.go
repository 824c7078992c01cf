package http2

import (
	"time"

	"github.com/peerpool/peerpool/internal/exchange"
	xhttp2 "golang.org/x/net/http2"
)

// Time limits of an exchange. An exchange without limits has no timing.

// timing is what an exchange has in addition if it has time limits.
type timing struct {
	limits *exchange.Limits
	timer  *time.Timer // for HeaderTimeout; guarded by Conn.mu
}

func (x *Exchange) limits() exchange.Limits {
	if x.timing == nil {
		return exchange.Limits{}
	}
	return *x.timing.limits
}

// awaitHead ends the exchange if the head does not come within HeaderTimeout.
func (x *Exchange) awaitHead() {
	limit := x.limits().HeaderTimeout
	if limit <= 0 {
		return
	}
	x.c.mu.Lock()
	if !x.headed && x.over == nil {
		x.timing.timer = time.AfterFunc(limit, x.timedOut)
	}
	x.c.mu.Unlock()
}

func (x *Exchange) timedOut() {
	x.c.mu.Lock()
	if !x.headed {
		x.abortLocked(ErrHeaderTimeout, xhttp2.ErrCodeCancel)
	}
	x.c.unlockAndFlush()
}

func (x *Exchange) stopTimerLocked() {
	if x.timing != nil && x.timing.timer != nil {
		x.timing.timer.Stop()
	}
}

// waitToReadLocked waits until something happens to the response's body. If nothing happens for BodyReadTimeout, the exchange
// ends.
func (x *Exchange) waitToReadLocked() {
	limit := x.limits().BodyReadTimeout
	switch {
	case x.reading:
		x.cond.Wait()
		return
	case limit <= 0:
		x.waitLocked()
		return
	}
	over, heard := false, x.c.heard.Load()
	timer := time.AfterFunc(limit, func() {
		x.c.mu.Lock()
		if !over {
			x.stalledLocked(exchange.ErrBodyRead, heard)
		}
		x.c.unlockAndFlush()
	})
	for x.buffered == 0 && !x.reading && x.readEndLocked() == nil {
		x.waitLocked()
	}
	over = true
	timer.Stop()
}

// stalledLocked ends an exchange whose server has done nothing for too long. If nothing has come on the whole connection
// since heard, the connection is probed before it serves another exchange.
func (x *Exchange) stalledLocked(err error, heard int64) {
	x.abortLocked(err, xhttp2.ErrCodeCancel)
	if x.c.heard.Load() == heard {
		x.c.suspect.Store(heard + 1)
	}
}

// expectProgress ends the exchange if progressed is not called within BodyWriteTimeout.
func (u *upload) expectProgress() {
	limit := u.x.limits().BodyWriteTimeout
	if limit <= 0 {
		return
	}
	c := u.x.c
	c.mu.Lock()
	u.heard = c.heard.Load()
	c.mu.Unlock()
	switch {
	case u.timer == nil:
		u.timer = time.AfterFunc(limit, u.stalled)
	default:
		u.timer.Reset(limit)
	}
}

func (u *upload) progressed() {
	if u.timer != nil {
		u.timer.Stop()
	}
}

func (u *upload) stalled() {
	c := u.x.c
	c.mu.Lock()
	u.x.stalledLocked(exchange.ErrBodyWrite, u.heard)
	c.unlockAndFlush()
}
