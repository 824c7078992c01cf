package pool

import (
	"maps"
	"reflect"
	"testing"
)

func TestStatsCountWhatHappened(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		w.idle(2, "a", Terms{})
		w.try("a", Terms{})
		waiting := w.acquire("b", Terms{})
		w.dialFails(errDial)
		waiting.failed()
		w.lease("b", Terms{}).Hijack()
		w.discard(w.lease("c", Terms{}), "done")
		w.acquire("d", Terms{MaxConns: 1})
		w.acquire("d", Terms{MaxConns: 1})

		want := Stats[string]{
			Idle: 1, Active: 1, Dialing: 1, Waiting: 2,
			Opened: 4, Hijacked: 1, Hits: 1, Dials: 6, DialFailures: 1,
			Misses: map[Miss]uint64{MissCold: 6, MissBusy: 1},
			Closes: map[Reason]uint64{"done": 1},
			Keys: map[string]KeyStats{
				"a": {Idle: 1, Active: 1, Hits: 1, Misses: 2, Dials: 2},
				"d": {Dialing: 1, Waiting: 2, Misses: 2, Dials: 1},
			},
		}
		if got := w.pool.Stats(); !reflect.DeepEqual(got, want) {
			t.Errorf("stats are\n%+v, want\n%+v", got, want)
		}
	})
}

func TestCountersOfThePoolSurviveTheForgettingOfKeys(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		w.idle(1, "a", Terms{})
		w.release(w.try("a", Terms{}))
		w.pool.CloseIdle()
		s := w.pool.Stats()
		if s.Hits != 1 || s.Dials != 1 || s.Misses[MissCold] != 1 || len(s.Keys) != 0 {
			t.Errorf("stats are %+v", s)
		}
		w.idle(1, "a", Terms{})
		if again := w.pool.Stats().Keys["a"]; again.Hits != 0 || again.Dials != 1 {
			t.Errorf("the key is known anew and starts with %+v", again)
		}
	})
}

func TestAKeyIsKnownUntilItIsForgotten(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		knows := func(want bool, when string) {
			t.Helper()
			if got := w.pool.Knows("a"); got != want {
				t.Errorf("Knows is %v %s", got, when)
			}
		}
		knows(false, "before the first Acquire")
		c := w.acquire("a", Terms{})
		knows(true, "during a dial")
		w.dialed()
		knows(true, "during a lease")
		w.release(c.leased())
		knows(true, "with an idle connection")
		w.pool.CloseIdle()
		knows(false, "after the last connection")
		w.wantForgotten("a")
	})
}

func TestStatsAreTheCallers(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		w.discard(w.lease("a", Terms{}), "done")
		first := w.pool.Stats()
		second := w.pool.Stats()
		first.Closes["done"] = 7
		first.Misses[MissCold] = 7
		if !maps.Equal(second.Closes, w.pool.Stats().Closes) || !maps.Equal(second.Misses, w.pool.Stats().Misses) {
			t.Error("writing to a snapshot changed the pool")
		}
	})
}

func TestAProbeThatFailsIsNoHit(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		w.idle(1, "a", Terms{})[0].sicken(ReasonPeerClosed)
		w.acquire("a", Terms{}).leasedByDial()
		if s := w.pool.Stats(); s.Hits != 0 || s.Misses[MissStale] != 1 {
			t.Errorf("hits %d, misses %v", s.Hits, s.Misses)
		}
	})
}

func TestHooksMayUseThePool(t *testing.T) {
	var p *Pool[string, *plainConn]
	calls := 0
	visit := func() {
		calls++
		p.Stats()
		p.CloseIdle()
		p.TryAcquire("a", Terms{})
	}
	p = New(Config[string, *plainConn]{
		OnClose:  func(string, *plainConn, Closing) { visit() },
		OnForget: func(string) { visit() },
	})
	lease, err := p.Acquire(t.Context(), "a", plainDialer{}, Terms{})
	if err != nil {
		t.Fatal(err)
	}
	lease.Discard("done")
	if calls != 2 {
		t.Errorf("%d calls of hooks, want 2", calls)
	}
}
