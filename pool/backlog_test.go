package pool

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func (w *world) onHeldBack(_ context.Context, b Backlog) {
	w.unlocked("OnHeldBack")
	w.mu.Lock()
	defer w.mu.Unlock()
	w.backlogs = append(w.backlogs, b)
}

// wantBacklogs checks what the pool has told about Acquires that MaxConns has held back so far.
func (w *world) wantBacklogs(want ...Backlog) {
	w.t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.backlogs, want) {
		w.t.Errorf("the pool tells of %v, want %v", w.backlogs, want)
	}
}

func TestAnAcquireThatMaxConnsHoldsBackIsTold(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		lease := w.lease("a", Terms{MaxConns: 1})
		older := w.acquire("a", Terms{MaxConns: 1})
		w.wantBacklogs(Backlog{MaxConns: 1, Waiting: 1})
		time.Sleep(2 * time.Second)
		younger := w.acquire("a", Terms{MaxConns: 1})
		w.wantBacklogs(Backlog{MaxConns: 1, Waiting: 1}, Backlog{MaxConns: 1, Waiting: 2, Longest: 2 * time.Second})
		w.release(lease)
		w.release(older.leased())
		w.release(younger.leased())
	})
}

func TestAnAcquireThatFindsOrDialsAConnectionIsNotHeldBack(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		w.release(w.lease("a", Terms{MaxConns: 2}))   // dialed
		lease := w.try("a", Terms{MaxConns: 2})       // idle
		other := w.acquire("a", Terms{MaxConns: 2})   // dialed
		without := w.acquire("a", Terms{})            // dialed beyond the limit of the others
		private := w.acquire("b", Terms{MaxConns: 1}) // of another key
		w.wantBacklogs()
		for _, c := range []*call{other, without, private} {
			c.giveUp()
		}
		w.release(lease)
	})
}

func TestARoomyLimitHoldsNobodyBackWhileDialsArePaced(t *testing.T) {
	inBubble(t, config{DialBurst: 1}, func(t *testing.T, w *world) {
		for range 3 {
			w.acquire("a", Terms{MaxConns: 3})
		}
		w.wantDials(1)
		w.wantBacklogs()
		w.acquire("a", Terms{MaxConns: 3}) // has no dial to come
		w.wantBacklogs(Backlog{MaxConns: 3, Dialing: 1, Waiting: 4})
	})
}

func TestWhoWaitsForAPlaceOnASharedConnectionIsNotHeldBack(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		w.shares, w.capacity = true, 2
		terms := Terms{MaxConns: 1, Expect: 2}
		w.acquire("a", terms)
		w.acquire("a", terms)
		w.wantBacklogs()
		w.acquire("a", terms) // the connection will be full
		w.wantBacklogs(Backlog{MaxConns: 1, Dialing: 1, Waiting: 3})
	})
}

func TestAnAcquireOfAHostIsHeldBackByAllItsKeys(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		lease := w.lease("a", Terms{})
		w.hosts["h"] = w.pool.NewHost([]string{"a", "b"}, nil)
		held := w.acquire("h", Terms{MaxConns: 1})
		w.wantBacklogs(Backlog{MaxConns: 1, Waiting: 1})
		w.release(lease)
		w.release(held.leased())
	})
}

func TestAnAcquireIsToldAboutInItsOwnContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type mark struct{}
		var told any
		w := newWorld(t, config{})
		defer w.end()
		w.pool.config.OnHeldBack = func(ctx context.Context, _ Backlog) { told = ctx.Value(mark{}) }
		lease := w.lease("a", Terms{MaxConns: 1})
		defer w.release(lease)
		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), mark{}, "mine"), time.Second)
		defer cancel()
		if _, err := w.pool.Acquire(ctx, "a", w, Terms{MaxConns: 1}); err == nil || told != "mine" {
			t.Errorf("the error is %v, and the hook has the value %v", err, told)
		}
	})
}
