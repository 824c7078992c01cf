package exchange

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// ReadWait is how long an exchange that has ended waits for a Read of the request's body to return. If the Read does not
// return in time, the exchange closes the body, which may end the Read, and the caller gets control back.
const ReadWait = 100 * time.Millisecond

// ErrStopped is the error of [Body.Read] and [Body.Use] after Stop or Close.
var ErrStopped = errors.New("peerpool: the exchange has ended, so it no longer reads the request's body")

// ErrInvalidRead is the error of [Body.Read] if the request's body returns a number of bytes that does not fit the buffer.
var ErrInvalidRead = errors.New("peerpool: request body returned an impossible number of bytes from Read")

// Body is the body of a request while one exchange sends it. The exchange reads and closes the caller's body only through its
// Body. So the Body knows when the last Read has returned. The next attempt and the caller may rewind the caller's body, but
// not while a Read is under way.
//
// A protocol uses a Body like this:
//
//   - The goroutine that sends the body calls Read, or [Body.Use] to read in other ways. It calls Close at the end of the
//     body, or when it gives up.
//   - An exchange that fails calls Stop before anything else. If the body was touched, the exchange calls Finish before it
//     returns the error. If not, it leaves the body alone: RoundTrip sends the body with the next attempt, or closes it.
//   - If the response ends (read to its end, closed, failed, canceled) before the body is sent, the exchange interrupts its
//     writing and calls Finish before it returns to the reader of the response.
//   - RoundTrip calls Await before it calls GetBody.
//
// All methods may be called at any time, from any goroutine and more than once.
type Body struct {
	rc io.ReadCloser // nil if there is nothing to read or close

	// mu guards the fields below. Body calls no method of rc while it holds mu.
	mu      sync.Mutex
	touched bool          // a Read or a Close has begun
	ended   bool          // the body has been read to its end
	stopped bool          // no new Read may begin
	closing bool          // rc.Close has been called
	closed  bool          // rc.Close has returned
	reading int32         // number of Reads under way
	changed chan struct{} // closed when a Read or rc.Close returns; nil if nobody waits for that
}

// Init sets the body to read. Call it before any other method.
func (b *Body) Init(rc io.ReadCloser) { b.rc = rc }

// Read reads from the body. It returns [ErrStopped] after Stop or Close. If the body's Read panics, Read returns an error
// that says so. If the body returns a number of bytes that does not fit p, Read returns [ErrInvalidRead].
func (b *Body) Read(p []byte) (n int, err error) {
	err = b.Use(func(rc io.Reader) (err error) {
		n, err = rc.Read(p)
		return err
	})
	if n < 0 || n > len(p) {
		return 0, ErrInvalidRead
	}
	if err == io.EOF {
		b.End()
	}
	return n, err
}

// End notes that the body has been read to its end. Read does so by itself.
func (b *Body) End() {
	b.mu.Lock()
	b.ended = true
	b.mu.Unlock()
}

// Unfinished reports whether the body has been read from, but not to its end. It is false for a nil Body.
func (b *Body) Unfinished() bool {
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.touched && !b.ended
}

// Use calls f with the body, so that f can read in other ways than with Read. The call counts as one Read. Use returns the
// error of f, [ErrStopped] if it did not call f, or an error that says that f panicked.
func (b *Body) Use(f func(io.Reader) error) (err error) {
	if !b.begin() {
		return ErrStopped
	}
	defer func() {
		if v := recover(); v != nil {
			err = Panicked(v)
		}
		b.mu.Lock()
		b.reading--
		b.changeLocked()
		b.mu.Unlock()
	}()
	return f(b.rc)
}

func (b *Body) begin() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped || b.rc == nil {
		return false
	}
	b.touched = true
	b.reading++
	return true
}

// Touched reports whether the body has been read from or closed. After Stop, only Close and Finish can change the result.
func (b *Body) Touched() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.touched
}

// Stop prevents new Reads. It does not wait for a Read that is under way.
func (b *Body) Stop() {
	b.mu.Lock()
	b.stopped = true
	b.mu.Unlock()
}

// Close prevents new Reads and closes the body. Before it closes the body, it waits for a Read that is under way, for
// [ReadWait] at most. The body is closed once: only the first call returns the error of its Close.
func (b *Body) Close() error {
	if b.rc == nil {
		return nil
	}
	b.mu.Lock()
	b.stopped = true
	if !b.quietLocked() {
		b.mu.Unlock()
		b.waitLong(b.quietLocked)
		b.mu.Lock()
	}
	first := b.claimLocked()
	b.mu.Unlock()
	if !first {
		return nil
	}
	return b.closeClaimed()
}

// claimLocked returns true to the one caller that is to close the body. The caller holds mu.
func (b *Body) claimLocked() (first bool) {
	first = !b.closing
	b.closing, b.touched = true, true
	return first
}

func (b *Body) closeClaimed() (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = Panicked(v)
		}
		b.mu.Lock()
		b.closed = true
		b.changeLocked()
		b.mu.Unlock()
	}()
	return b.rc.Close()
}

// Finish is Close for an exchange that is about to give control back to its caller. It waits for the last Read, closes the
// body, and waits for the Close to return. Each wait takes [ReadWait] at most. A Close that still blocks continues on its own
// goroutine.
func (b *Body) Finish() {
	if b.rc == nil {
		return
	}
	b.mu.Lock()
	b.stopped = true
	done := b.doneLocked()
	b.mu.Unlock()
	if done {
		return
	}
	b.waitLong(b.quietLocked)
	b.mu.Lock()
	first := b.claimLocked()
	b.mu.Unlock()
	if first {
		go b.closeClaimed()
	}
	b.waitLong(b.doneLocked)
}

// Await waits until the last Read of a stopped body has returned. If the body was touched, Await also waits until it is
// closed. If ctx ends first, Await returns the cause of ctx. For a nil Body it returns nil at once.
func (b *Body) Await(ctx context.Context) error {
	if b == nil || b.wait(ctx.Done(), b.overLocked) {
		return nil
	}
	return context.Cause(ctx)
}

// The callers of these three hold mu.
func (b *Body) quietLocked() bool { return b.reading == 0 }
func (b *Body) doneLocked() bool  { return b.reading == 0 && b.closed }
func (b *Body) overLocked() bool  { return b.reading == 0 && (b.closed || !b.touched) }

// waitLong waits until holds returns true, for ReadWait at most.
func (b *Body) waitLong(holds func() bool) {
	b.mu.Lock()
	now := holds()
	b.mu.Unlock()
	if now {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), ReadWait)
	defer cancel()
	b.wait(ctx.Done(), holds)
}

// wait waits until holds returns true or giveUp is closed. It reports whether holds returned true.
func (b *Body) wait(giveUp <-chan struct{}, holds func() bool) bool {
	for {
		b.mu.Lock()
		if holds() {
			b.mu.Unlock()
			return true
		}
		if b.changed == nil {
			b.changed = make(chan struct{})
		}
		changed := b.changed
		b.mu.Unlock()
		select {
		case <-changed:
		case <-giveUp:
			return false
		}
	}
}

func (b *Body) changeLocked() {
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
}

// BodyError is an error of the request's own body, as opposed to an error of the connection.
type BodyError struct{ Err error }

func (e *BodyError) Error() string { return e.Err.Error() }
func (e *BodyError) Unwrap() error { return e.Err }

// Panicked returns the error for a request body that panicked with v.
func Panicked(v any) error { return fmt.Errorf("peerpool: request body panicked: %v", v) }
