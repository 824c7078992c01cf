package http2

import (
	"io"
	"sync"

	"github.com/peerpool/peerpool/internal/exchange"
)

// upload is the body of a request, which x/net closes in any case, and we only if it can no longer be sent again.
type upload struct {
	body io.ReadCloser

	mu      sync.Mutex // guards what follows; the body is not called under it
	touched bool       // reading has begun
	closed  bool       // by x/net
	kept    bool       // there is a response: the body will not be sent again
	done    bool       // body has been closed
	err     error      // that reading it ended with
}

// Read reads from the body, on a goroutine of x/net's, where a panic of the body's would be the end of the program. Once
// it is closed it is left alone: x/net may still be about to read on behalf of an exchange that has ended, when the body
// is already the caller's again or the next exchange's.
func (u *upload) Read(p []byte) (n int, err error) {
	if !u.touch() {
		return 0, errEnded
	}
	defer func() {
		if v := recover(); v != nil {
			n, err = 0, exchange.Panicked(v)
		}
		if err != nil && err != io.EOF {
			u.note(err)
		}
	}()
	return u.body.Read(p)
}

func (u *upload) touch() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.touched = u.touched || !u.closed
	return !u.closed
}

// note keeps what reading the body has failed with.
func (u *upload) note(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.closed && u.err == nil { // otherwise it may be the closing that it complains about
		u.err = err
	}
}

func (u *upload) Close() error {
	u.mu.Lock()
	u.closed = true
	u.mu.Unlock()
	return u.tryClose()
}

// keep says that there is a response.
func (u *upload) keep() {
	u.mu.Lock()
	u.kept = true
	u.mu.Unlock()
	u.tryClose()
}

// tryClose closes the body if that has been asked for and nobody will want to send it again.
func (u *upload) tryClose() error {
	u.mu.Lock()
	now := u.closed && !u.done && (u.kept || u.touched)
	u.done = u.done || now
	u.mu.Unlock()
	if !now {
		return nil
	}
	return u.body.Close()
}

// outcome says whether the body was read from, and what that has failed with.
func (u *upload) outcome() (touched bool, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.touched, u.err
}
