package inflight

import (
	"context"
	"testing"
	"testing/synctest"
)

func TestAListThatIsShutTakesRetriesOnly(t *testing.T) {
	var l List
	req, _ := cancelable(t)
	var first, second, fresh Entry
	l.Enlist(&first, req, nil)
	l.Shut()
	if !l.Enlist(&second, req, &first) {
		t.Error("the retry was turned away")
	}
	if l.Enlist(&fresh, req, nil) {
		t.Error("the new request was let in")
	}
	if n := l.Len(); n != 1 {
		t.Errorf("%d attempts are listed", n)
	}
}

func TestEmptiedWaitsUntilEveryRequestHasAResponseOrHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l List
		entries := make([]Entry, 40)
		for i := range entries {
			req, _ := cancelable(t)
			l.Enlist(&entries[i], req, nil)
		}
		l.Shut()
		empty := false
		go func() {
			l.Emptied(t.Context())
			empty = true
		}()
		for i := range entries {
			synctest.Wait()
			if empty {
				t.Fatalf("after %d of %d", i, len(entries))
			}
			if i%2 == 0 {
				entries[i].Answered(&l)
			} else {
				l.Remove(&entries[i])
			}
		}
		synctest.Wait()
		if !empty {
			t.Error("it still waits")
		}
	})
}

func TestEmptiedEndsWithItsContext(t *testing.T) {
	var l List
	req, cancel := cancelable(t)
	var e Entry
	l.Enlist(&e, req, nil)
	l.Shut()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	cancel()
	l.Emptied(ctx)
}
