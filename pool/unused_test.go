package pool

import (
	"testing"
	"time"
)

// leave gives up an Acquire whose dial then ends, so that its connection is idle and unused.
func (w *world) leave(key string, terms Terms) *fakeConn {
	w.t.Helper()
	w.acquireBeside(key, terms).giveUp()
	return w.dialed()
}

// acquireBeside is an Acquire that dials although there may be idle connections.
func (w *world) acquireBeside(key string, terms Terms) *call {
	terms.Fresh = true
	return w.acquire(key, terms)
}

func (w *world) wantLeased(key string, terms Terms, want *fakeConn) testLease {
	w.t.Helper()
	lease := w.try(key, terms)
	if lease.Conn() != want {
		w.t.Fatalf("leased conn %d, want conn %d", lease.Conn().id, want.id)
	}
	return lease
}

func TestUnusedConnectionsAreLeasedFirstTheOldestBeforeTheOthers(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		old := w.lease("a", Terms{})
		first, second := w.leave("a", Terms{}), w.leave("a", Terms{})
		w.release(old)
		for _, want := range []*fakeConn{first, second, old.Conn()} {
			defer w.release(w.wantLeased("a", Terms{}, want))
		}
	})
}

func TestAHostLeasesItsUnusedConnectionsFirst(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		w.hosts["h"] = w.pool.NewHost([]string{"a", "b"}, nil)
		unused := w.leave("a", Terms{})
		used := w.lease("b", Terms{})
		w.release(used)
		defer w.release(w.wantLeased("h", Terms{}, unused))
		defer w.release(w.wantLeased("h", Terms{}, used.Conn()))
	})
}

func TestAnUnusedConnectionThatWasDialedForAWantIsClosedSoon(t *testing.T) {
	for _, terms := range []Terms{{}, {IdleTimeout: time.Minute}} {
		inBubble(t, config{}, func(t *testing.T, w *world) {
			conn := w.leave("a", terms)
			time.Sleep(unusedFor - time.Millisecond)
			w.wantGauges(1, 0, 0, 0)
			time.Sleep(2 * time.Millisecond)
			w.wantCloses(map[*fakeConn]Reason{conn: ReasonUnused})
			w.wantForgotten("a")
		})
	}
}

func TestAShorterIdleTimeoutEndsAnUnusedConnection(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		conn := w.leave("a", Terms{IdleTimeout: time.Second})
		time.Sleep(time.Second + time.Millisecond)
		w.wantCloses(map[*fakeConn]Reason{conn: ReasonIdleTimeout})
	})
}

func TestAConnectionIsNoLongerUnusedAfterItsFirstLease(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		conn := w.leave("a", Terms{})
		w.release(w.wantLeased("a", Terms{}, conn))
		time.Sleep(time.Hour)
		w.wantGauges(1, 0, 0, 0)
	})
}

func TestSetLimitsDoesNotKeepAnUnusedConnection(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		conn := w.leave("a", Terms{})
		w.pool.SetLimits(0, 0, map[string]Terms{"a": {IdleTimeout: time.Hour}})
		time.Sleep(unusedFor + time.Millisecond)
		w.wantCloses(map[*fakeConn]Reason{conn: ReasonUnused})
	})
}

func TestUnusedConnectionsThatAreKeptReadyStay(t *testing.T) {
	for name, keep := range map[string]func(w *world){
		"KeepIdle": func(w *world) { w.keepIdle("a", 2, Terms{}) },
		"Warm":     func(w *world) { w.warm("a", 2, Terms{}) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, config{}, func(t *testing.T, w *world) {
				w.leave("a", Terms{}) // counts, as if it had been dialed for that
				keep(w)
				w.wantDials(1)
				w.dialed()
				more := w.leave("a", Terms{})
				time.Sleep(time.Minute)
				w.wantGauges(2, 0, 0, 0)
				w.wantCloses(map[*fakeConn]Reason{more: ReasonUnused})
				w.pool.CloseIdle()
			})
		})
	}
}

func TestARequestThatRefusesTheOldestUnusedConnectionTakesANewerOne(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		held := w.lease("a", Terms{})
		w.leave("a", Terms{})
		time.Sleep(time.Second)
		newer := w.leave("a", Terms{})
		time.Sleep(time.Second)
		w.release(held)
		defer w.release(w.wantLeased("a", Terms{MaxIdleTime: 2 * time.Second}, newer))
		defer w.release(w.wantLeased("a", Terms{MaxIdleTime: 2 * time.Second}, held.Conn()))
	})
}
