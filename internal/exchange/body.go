package exchange

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// ReadWait is how long an exchange that is over waits for a Read of the request's body to return. If the Read does not return, the
// exchange closes the body, which may end the Read, and the caller gets control back.
const ReadWait = 100 * time.Millisecond

// ErrStopped is what reading a [Body] returns after Stop.
var ErrStopped = errors.New("peerpool: the exchange is over, and no longer reads the request's body")

// ErrInvalidRead is the error of a body whose Read returns a number of bytes that does not fit its buffer.
var ErrInvalidRead = errors.New("peerpool: request body returned an impossible number of bytes from Read")

// Body is the body of a request while one exchange sends it. Everything that an exchange does with the body goes
// through its Body, which knows when the reading is over: the next attempt, and the caller too, may rewind what lies
// below, and must not do so while somebody still reads.
//
// A protocol uses it like this:
//
//   - The goroutine that sends the body calls Read, and [Body.Use] for other ways of reading. At the end of the body,
//     or when it gives up, it calls Close.
//   - An exchange that fails calls Stop before anything else. If the body is touched then, it calls Finish before it
//     returns the error; if not, it leaves the body alone, and the walk sends it with the next attempt or closes it.
//   - When the response ends in any way (read to its end, closed, failed, canceled) before the body is sent, the
//     exchange interrupts its writing and calls Finish before it returns to the reader of the response.
//   - The walk calls Await before it calls GetBody.
//
// All methods may be called at any time, from any goroutine and more than once.
type Body struct {
	rc io.ReadCloser // nil: there is nothing to read or close

	// mu guards what follows. Nothing of rc is called under it.
	mu      sync.Mutex
	touched bool          // a Read has begun, or a Close
	stopped bool          // no Read begins any more
	closing bool          // Close of rc has been called
	closed  bool          // and has returned
	reading int32         // Reads under way
	changed chan struct{} // closed at the next change of what is above; nil: nobody waits for it
}

// Init is to be called before anything else, with the body to read.
func (b *Body) Init(rc io.ReadCloser) { b.rc = rc }

// Read reads from the body. It returns [ErrStopped] after Stop or Close. A panic of the body's becomes an error, and so
// does a number of bytes that does not fit p.
func (b *Body) Read(p []byte) (n int, err error) {
	err = b.Use(func(rc io.Reader) (err error) {
		n, err = rc.Read(p)
		return err
	})
	if n < 0 || n > len(p) {
		return 0, ErrInvalidRead
	}
	return n, err
}

// Use calls f with the body, for reading in other ways than by Read, and counts as one Read. It returns the error of f,
// [ErrStopped] if f was not called, or an error that says that f panicked.
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

// Touched reports whether the body has been read from or closed. After Stop, only Close and Finish change that.
func (b *Body) Touched() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.touched
}

// Stop makes sure that no Read begins any more. It does not wait for one that is under way.
func (b *Body) Stop() {
	b.mu.Lock()
	b.stopped = true
	b.mu.Unlock()
}

// Close closes the body, once, and returns its error to the first caller. No Read begins any more. Close waits for a Read
// that is under way, for [ReadWait] at most.
func (b *Body) Close() error {
	if b.rc == nil {
		return nil
	}
	b.mu.Lock()
	b.stopped = true
	quiet := b.quietLocked()
	b.mu.Unlock()
	if !quiet {
		b.waitLong(b.quietLocked)
	}
	return b.close()
}

func (b *Body) close() (err error) {
	b.mu.Lock()
	first := !b.closing
	b.closing, b.touched = true, true
	b.mu.Unlock()
	if !first {
		return nil
	}
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

// Finish is Close for an exchange whose caller is about to get control back: it waits for the last Read, and then for the Close of
// the body, for [ReadWait] at most each. A Close that still blocks then goes on, on a goroutine of its own.
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
	closing := b.closing
	b.mu.Unlock()
	if !closing {
		go b.close()
	}
	b.waitLong(b.doneLocked)
}

// Await waits until the reading of a body that has been stopped is over, and the body closed if it was touched. It
// returns the cause of ctx if that ends first. A nil Body is over.
func (b *Body) Await(ctx context.Context) error {
	if b == nil || b.wait(ctx.Done(), b.overLocked) {
		return nil
	}
	return context.Cause(ctx)
}

// These are called with mu held.
func (b *Body) quietLocked() bool { return b.reading == 0 }
func (b *Body) doneLocked() bool  { return b.reading == 0 && b.closed }
func (b *Body) overLocked() bool  { return b.reading == 0 && (b.closed || !b.touched) }

// waitLong waits until what holds, for ReadWait at most.
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

// wait waits until what holds, or giveUp is closed, and returns whether it holds.
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

// BodyError is an error that the request's own body returned, as opposed to the connection.
type BodyError struct{ Err error }

func (e *BodyError) Error() string { return e.Err.Error() }
func (e *BodyError) Unwrap() error { return e.Err }

// Panicked is the error of a request body that has panicked with v.
func Panicked(v any) error { return fmt.Errorf("peerpool: request body panicked: %v", v) }
