package exchange

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// source is a request body that records what is done with it. It blocks where the test tells it to.
type source struct {
	read  func(p []byte) (int, error) // nil means that Read returns io.EOF
	close func() error                // nil means that Close returns at once

	mu  sync.Mutex // guards log
	log []string
}

func (s *source) note(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, what)
}

func (s *source) Read(p []byte) (int, error) {
	s.note("read")
	defer s.note("read over")
	if s.read == nil {
		return 0, io.EOF
	}
	return s.read(p)
}

func (s *source) Close() error {
	s.note("close")
	if s.close == nil {
		return nil
	}
	return s.close()
}

// did checks which calls the body has received so far.
func (s *source) did(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.log, want) {
		t.Errorf("did %q, want %q", s.log, want)
	}
}

// within runs f in a bubble with a Body that reads from s.
func within(t *testing.T, s *source, f func(t *testing.T, b *Body)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var b Body
		b.Init(s)
		f(t, &b)
	})
}

// takes returns a function that reads after waiting for d.
func takes(d time.Duration) func([]byte) (int, error) {
	return func(p []byte) (int, error) {
		time.Sleep(d)
		return copy(p, "late"), nil
	}
}

// elapsed runs f and checks how long f takes.
func elapsed(t *testing.T, want time.Duration, f func()) {
	t.Helper()
	start := time.Now()
	f()
	if got := time.Since(start); got != want {
		t.Errorf("took %v, want %v", got, want)
	}
}

func TestNoReadBeginsAfterStop(t *testing.T) {
	s := &source{}
	within(t, s, func(t *testing.T, b *Body) {
		b.Stop()
		if n, err := b.Read(make([]byte, 4)); n != 0 || err != ErrStopped {
			t.Errorf("read %d, %v", n, err)
		}
		if err := b.Use(func(io.Reader) error { t.Error("used"); return nil }); err != ErrStopped {
			t.Errorf("Use: %v", err)
		}
		if b.Touched() {
			t.Error("touched")
		}
		s.did(t)
	})
}

func TestABodyIsClosedAfterItsLastRead(t *testing.T) {
	s := &source{read: takes(ReadWait - 1)}
	within(t, s, func(t *testing.T, b *Body) {
		go b.Read(make([]byte, 4))
		synctest.Wait()
		elapsed(t, ReadWait-1, func() { b.Finish() })
		s.did(t, "read", "read over", "close")
	})
}

func TestAReadThatBlocksIsEndedByClose(t *testing.T) {
	closed := make(chan struct{})
	s := &source{}
	s.close = func() error { close(closed); return nil }
	s.read = func([]byte) (int, error) { <-closed; return 0, io.ErrClosedPipe }
	synctest.Test(t, func(t *testing.T) {
		closed = make(chan struct{})
		var b Body
		b.Init(s)
		go b.Read(make([]byte, 4))
		synctest.Wait()
		elapsed(t, ReadWait, func() { b.Finish() })
		s.did(t, "read", "close", "read over")
	})
}

func TestNobodyWaitsForLongForAReadThatCloseDoesNotEnd(t *testing.T) {
	s := &source{read: takes(time.Hour)}
	within(t, s, func(t *testing.T, b *Body) {
		go b.Read(make([]byte, 4))
		synctest.Wait()
		elapsed(t, 2*ReadWait, func() { b.Finish() })
		s.did(t, "read", "close")
		time.Sleep(time.Hour)
	})
}

func TestNobodyWaitsForLongForACloseThatBlocks(t *testing.T) {
	s := &source{close: func() error { time.Sleep(time.Hour); return nil }}
	within(t, s, func(t *testing.T, b *Body) {
		elapsed(t, ReadWait, func() { b.Finish() })
		elapsed(t, ReadWait, func() { b.Finish() })
		s.did(t, "close")
		time.Sleep(time.Hour)
		elapsed(t, 0, func() { b.Finish() })
	})
}

func TestABodyIsClosedOnce(t *testing.T) {
	failed := errors.New("not today")
	s := &source{close: func() error { return failed }}
	within(t, s, func(t *testing.T, b *Body) {
		if err := b.Close(); err != failed {
			t.Errorf("Close: %v", err)
		}
		if err := b.Close(); err != nil {
			t.Errorf("Close again: %v", err)
		}
		b.Finish()
		s.did(t, "close")
	})
}

func TestAwaitWaitsForAsLongAsTheReadTakes(t *testing.T) {
	s := &source{read: takes(time.Minute)}
	within(t, s, func(t *testing.T, b *Body) {
		go b.Read(make([]byte, 4))
		synctest.Wait()
		b.Finish()
		elapsed(t, time.Minute-2*ReadWait, func() {
			if err := b.Await(t.Context()); err != nil {
				t.Error(err)
			}
		})
		s.did(t, "read", "close", "read over")
	})
}

func TestAwaitWaitsForClose(t *testing.T) {
	s := &source{close: func() error { time.Sleep(time.Minute); return nil }}
	within(t, s, func(t *testing.T, b *Body) {
		b.Read(make([]byte, 4))
		b.Finish()
		elapsed(t, time.Minute-ReadWait, func() { b.Await(t.Context()) })
	})
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	s := &source{read: takes(time.Hour)}
	within(t, s, func(t *testing.T, b *Body) {
		go b.Read(make([]byte, 4))
		synctest.Wait()
		why := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, why)
		defer cancel()
		b.Stop()
		elapsed(t, time.Minute, func() {
			if err := b.Await(ctx); err != why {
				t.Errorf("Await: %v", err)
			}
		})
		time.Sleep(time.Hour)
	})
}

func TestAnUntouchedBodyIsLeftAlone(t *testing.T) {
	s := &source{}
	within(t, s, func(t *testing.T, b *Body) {
		b.Stop()
		elapsed(t, 0, func() { b.Await(t.Context()) })
		s.did(t)
	})
}

func TestWhatPanicsInABodyIsAnError(t *testing.T) {
	s := &source{
		read:  func([]byte) (int, error) { panic("no bytes") },
		close: func() error { panic("no end") },
	}
	within(t, s, func(t *testing.T, b *Body) {
		if n, err := b.Read(make([]byte, 4)); n != 0 || err == nil || !strings.Contains(err.Error(), "no bytes") {
			t.Errorf("Read: %d, %v", n, err)
		}
		if err := b.Close(); err == nil || !strings.Contains(err.Error(), "no end") {
			t.Errorf("Close: %v", err)
		}
		elapsed(t, 0, func() { b.Finish() })
		elapsed(t, 0, func() { b.Await(t.Context()) })
	})
}

func TestANumberOfBytesThatCannotBeIsAnError(t *testing.T) {
	for _, n := range []int{-1, 5} {
		s := &source{read: func([]byte) (int, error) { return n, nil }}
		within(t, s, func(t *testing.T, b *Body) {
			if got, err := b.Read(make([]byte, 4)); got != 0 || err != ErrInvalidRead {
				t.Errorf("Read: %d, %v", got, err)
			}
		})
	}
}

func TestABodyIsUnfinishedFromItsFirstReadToItsEnd(t *testing.T) {
	s := &source{read: strings.NewReader("four").Read}
	within(t, s, func(t *testing.T, b *Body) {
		for i, want := range []bool{false, true, true, false} {
			if i > 0 {
				b.Read(make([]byte, 2))
			}
			if got := b.Unfinished(); got != want {
				t.Errorf("after %d reads: %v", i, got)
			}
		}
	})
	if (*Body)(nil).Unfinished() {
		t.Error("no body is unfinished")
	}
}

func TestARequestWithoutABodyHasNothingToWaitFor(t *testing.T) {
	var b Body
	if _, err := b.Read(make([]byte, 1)); err != ErrStopped {
		t.Errorf("Read: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	b.Finish()
	if err := b.Await(t.Context()); err != nil {
		t.Errorf("Await: %v", err)
	}
}
