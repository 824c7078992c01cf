package inflight

//lint:file-ignore SA1019 Request.Cancel is deprecated, and works all the same

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// fake is an exchange that counts what it is told.
type fake struct {
	heeded   int
	canceled error
}

func (f *fake) Cancel(cause error) { f.canceled = cause }
func (f *fake) Heed()              { f.heeded++ }

func cancelable(t *testing.T) (*http.Request, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://example.test", nil)
	if err != nil {
		t.Fatal(err)
	}
	return req, cancel
}

func TestAnExchangeHeedsItsContextAfterItsFirstMoment(t *testing.T) {
	var l List
	sweep := l.ByHand()
	sweep()
	req, _ := cancelable(t)
	var e Entry
	var x fake
	l.Enlist(&e, req, nil)
	if e.Run(&x) {
		t.Error("it heeds its context from the start")
	}
	for i, want := range []int{0, 1, 1} {
		sweep()
		if x.heeded != want {
			t.Errorf("after sweep %d it was told to heed its context %d times, want %d", i+1, x.heeded, want)
		}
	}
	l.Remove(&e)
	if l.Len() != 0 || l.waited() {
		t.Error("it is still listed, or waits for a sweep")
	}
}

func TestAnExchangeThatBeginsAfterTheFirstMomentHeedsItsContextFromTheStart(t *testing.T) {
	var l List
	sweep := l.ByHand()
	req, _ := cancelable(t)
	var e Entry
	l.Enlist(&e, req, nil)
	sweep()
	sweep()
	if !e.Run(&fake{}) {
		t.Error("nobody tells it to heed its context")
	}
}

func TestARequestWithoutDeadlineOrCancelWaitsForNoSweep(t *testing.T) {
	var l List
	req, err := http.NewRequest(http.MethodGet, "http://example.test", nil)
	if err != nil {
		t.Fatal(err)
	}
	var e Entry
	l.Enlist(&e, req, nil)
	if l.Sweeping() {
		t.Error("a sweep is to come")
	}
}

func TestADeadlineThatIsNearIsHeededFromTheStart(t *testing.T) {
	var l List
	ctx, cancel := context.WithTimeout(t.Context(), 2*moment-1)
	defer cancel()
	req, _ := cancelable(t)
	var e Entry
	l.Enlist(&e, req.WithContext(ctx), nil)
	if !e.Run(&fake{}) {
		t.Error("a sweep is to make it heed its context")
	}
}

// TestABubbleIsKnownByItsClock fails if times in a synctest bubble become monotonic: List.Enlist relies on it.
func TestABubbleIsKnownByItsClock(t *testing.T) {
	if now := time.Now(); now == now.Round(0) {
		t.Error("outside of a bubble, times are not monotonic: no request would wait for a sweep")
	}
	synctest.Test(t, func(t *testing.T) {
		if now := time.Now(); now != now.Round(0) {
			t.Error("in a bubble, times are monotonic: a request would wait for a sweep that does not come")
		}
		var l List
		req, _ := cancelable(t)
		var e Entry
		l.Enlist(&e, req, nil)
		if !e.Run(&fake{}) || l.Sweeping() {
			t.Error("a sweep is to make it heed its context")
		}
	})
}

func TestACancelChannelCostsNoGoroutineInTheFirstMoment(t *testing.T) {
	var l List
	sweep := l.ByHand()
	req, _ := cancelable(t)
	cancel := make(chan struct{})
	req.Cancel = cancel
	var e Entry
	l.Enlist(&e, req, nil)
	ctx, stop := e.Wait(t.Context())
	defer e.Waited(stop)
	sweep()
	if e.done != nil {
		t.Error("a goroutine watches it after one sweep")
	}
	sweep()
	if e.done == nil {
		t.Fatal("no goroutine watches it after two sweeps")
	}
	close(cancel)
	<-ctx.Done()
	if err := e.Canceled(); err != ErrCanceled || context.Cause(ctx) != err {
		t.Errorf("it was canceled for %v, its wait for %v", err, context.Cause(ctx))
	}
	if !l.Remove(&e) {
		t.Error("Remove says that no goroutine can hold it")
	}
}

func TestCancelEndsEveryAttemptAtTheRequestAndNoOther(t *testing.T) {
	var l List
	req, _ := cancelable(t)
	other, _ := cancelable(t)
	entries, exchanges := make([]Entry, 3), make([]fake, 3)
	for i, r := range []*http.Request{req, other, req} {
		l.Enlist(&entries[i], r, nil)
		entries[i].Run(&exchanges[i])
	}
	l.Cancel(req)
	for i, want := range []error{ErrCanceled, nil, ErrCanceled} {
		if exchanges[i].canceled != want || entries[i].Canceled() != want {
			t.Errorf("attempt %d was canceled for %v", i, exchanges[i].canceled)
		}
	}
}

func TestARetryOfACanceledAttemptIsCanceled(t *testing.T) {
	var l List
	req, _ := cancelable(t)
	var first, second Entry
	l.Enlist(&first, req, nil)
	l.Cancel(req)
	l.Enlist(&second, req, &first)
	var x fake
	second.Run(&x)
	if x.canceled != ErrCanceled {
		t.Errorf("its exchange was canceled for %v", x.canceled)
	}
	if n := l.Len(); n != 1 {
		t.Errorf("%d attempts are listed", n)
	}
}

func TestARequestThatIsCanceledAtItsDeadlineGetsTheErrorOfItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		time.Sleep(time.Minute)
		if err := cause(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		late := deadlineOnly{t.Context(), time.Now()}
		if err := cause(late); err != ErrCanceled {
			t.Errorf("of a context that does not end at its deadline: %v", err)
		}
	})
}

// deadlineOnly is a context that does not end at its deadline.
type deadlineOnly struct {
	context.Context
	at time.Time
}

func (d deadlineOnly) Deadline() (time.Time, bool) { return d.at, true }
