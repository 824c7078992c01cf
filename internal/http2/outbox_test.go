package http2

import (
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// slowConn is a connection on which each write waits for a turn, and is then written down.
type slowConn struct {
	net.Conn
	turns  chan error // what the next write returns
	wrote  []string
	begun  int
	expiry []time.Time // of reading
}

func (c *slowConn) Write(p []byte) (int, error) {
	c.begun++
	err, ok := <-c.turns
	if !ok {
		return 0, net.ErrClosed
	}
	if err != nil {
		return 0, err
	}
	c.wrote = append(c.wrote, string(p))
	return len(p), nil
}

func (c *slowConn) SetReadDeadline(t time.Time) error {
	c.expiry = append(c.expiry, t)
	return nil
}

// withOutbox runs a test in a bubble. The test may look at conn whenever the bubble has come to rest.
func withOutbox(t *testing.T, test func(t *testing.T, o *outbox, c *slowConn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := &slowConn{turns: make(chan error)}
		var o outbox
		o.init(c)
		test(t, &o, c)
		close(c.turns)
		o.close()
	})
}

// held is hold with its result checked, and the bubble come to rest.
func held(t *testing.T, o *outbox, text string) {
	t.Helper()
	if n, err := o.hold([]byte(text)); n != len(text) || err != nil {
		t.Errorf("hold: %d, %v", n, err)
	}
	synctest.Wait()
}

func wantWrites(t *testing.T, c *slowConn, want ...string) {
	t.Helper()
	synctest.Wait()
	if got := strings.Join(c.wrote, "|"); got != strings.Join(want, "|") {
		t.Errorf("wrote %q, want %q", c.wrote, want)
	}
}

func TestWritesThatComeDuringAnotherGoOutAsOne(t *testing.T) {
	withOutbox(t, func(t *testing.T, o *outbox, c *slowConn) {
		held(t, o, "first")
		held(t, o, "second,")
		held(t, o, "third")
		wantWrites(t, c)
		c.turns <- nil
		c.turns <- nil
		wantWrites(t, c, "first", "second,third")
	})
}

func TestALongWriteComesAfterWhatIsHeld(t *testing.T) {
	withOutbox(t, func(t *testing.T, o *outbox, c *slowConn) {
		long := strings.Repeat("x", maxHeld+1)
		held(t, o, "first")
		held(t, o, "second")
		go o.hold([]byte(long))
		c.turns <- nil
		wantWrites(t, c, "first")
		c.turns <- nil
		c.turns <- nil
		wantWrites(t, c, "first", "second", long)
	})
}

func TestAWriteWaitsWhereTooMuchIsHeld(t *testing.T) {
	withOutbox(t, func(t *testing.T, o *outbox, c *slowConn) {
		held(t, o, "first")
		page := strings.Repeat("x", maxHeld)
		for range maxPending / maxHeld {
			held(t, o, page)
		}
		returned := false
		go func() {
			o.hold([]byte("y"))
			returned = true
		}()
		synctest.Wait()
		if returned {
			t.Error("there is no bound to what is held")
		}
		c.turns <- nil
		synctest.Wait()
		if !returned {
			t.Error("the write still waits")
		}
		c.turns <- nil
		c.turns <- nil
		wantWrites(t, c, "first", strings.Repeat(page, maxPending/maxHeld), "y")
	})
}

func TestWhatIsHeldIsWrittenBeforeTheEnd(t *testing.T) {
	withOutbox(t, func(t *testing.T, o *outbox, c *slowConn) {
		held(t, o, "first")
		held(t, o, "second")
		closed := false
		go func() {
			o.close()
			closed = true
		}()
		c.turns <- nil
		synctest.Wait()
		if closed {
			t.Error("closed before everything was written")
		}
		c.turns <- nil
		wantWrites(t, c, "first", "second")
		if !closed {
			t.Error("not closed after everything was written")
		}
		if _, err := o.hold([]byte("third")); err != net.ErrClosed {
			t.Errorf("a write after the end: %v", err)
		}
	})
}

func TestAFailedWriteFailsThoseThatFollowAndReadingSoonAfter(t *testing.T) {
	withOutbox(t, func(t *testing.T, o *outbox, c *slowConn) {
		broken := errors.New("broken")
		held(t, o, "first")
		held(t, o, "second")
		c.turns <- broken
		synctest.Wait()
		if len(c.expiry) != 1 || time.Until(c.expiry[0]) != drainWait {
			t.Errorf("reading ends at %v, want once, in %v", c.expiry, drainWait)
		}
		for _, text := range []string{"third", strings.Repeat("x", maxHeld+1)} {
			if _, err := o.hold([]byte(text)); err != broken {
				t.Errorf("a write after the failure: %v", err)
			}
		}
		if c.begun != 1 {
			t.Errorf("%d writes, want none after the failure", c.begun)
		}
	})
}
