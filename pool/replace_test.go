package pool

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// successive is a connection that the pool may replace. Dials of its shop take a second.
type successive struct {
	shop   *shop
	number int
	closed bool
}

type shop struct {
	opened  int
	failing bool
}

func (s *shop) Dial(context.Context) (*successive, error) {
	time.Sleep(time.Second)
	if s.failing {
		return nil, errDial
	}
	s.opened++
	return &successive{shop: s, number: s.opened}, nil
}

func (c *successive) Probe() Reason { return "" }
func (c *successive) Close() error {
	c.closed = true
	return nil
}
func (c *successive) Replacement() Dialer[*successive] { return c.shop }

// replacing runs a test in a bubble, with a pool whose connections live for exactly their MaxLifetime.
func replacing(t *testing.T, test func(t *testing.T, p *Pool[string, *successive], s *shop)) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config[string, *successive]{})
		p.draw = func() time.Duration { return 1000 }
		test(t, p, new(shop))
		if err := p.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if err := checkInvariants(p); err != nil {
			t.Error(err)
		}
	})
}

// use leases a connection for a second. It says which, how long that has taken, and whether it was a hit.
func use(t *testing.T, p *Pool[string, *successive], s *shop, terms Terms) string {
	t.Helper()
	lease, err := p.Acquire(t.Context(), "a", s, terms)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	lease.Release()
	synctest.Wait()
	return fmt.Sprintf("%d%s", lease.Conn().number, lease.Miss())
}

func wantUses(t *testing.T, p *Pool[string, *successive], s *shop, terms Terms, pause time.Duration, want ...string) {
	t.Helper()
	for i, w := range want {
		if got := use(t, p, s, terms); got != w {
			t.Fatalf("use %d is of %s, want %s", i, got, w)
		}
		time.Sleep(pause)
	}
}

func wantConns(t *testing.T, p *Pool[string, *successive], n int) {
	t.Helper()
	synctest.Wait()
	if st := p.Stats(); st.Idle+st.Active != n || st.Dialing != 0 {
		t.Errorf("%d connections are idle and %d active, %d dials under way, want %d connections", st.Idle, st.Active, st.Dialing, n)
	}
}

func TestAConnectionInUseIsReplacedBeforeTheEndOfItsLife(t *testing.T) {
	replacing(t, func(t *testing.T, p *Pool[string, *successive], s *shop) {
		terms := Terms{MaxLifetime: 80 * time.Second}
		wantUses(t, p, s, terms, 35*time.Second, "1cold", "1", "1") // born at 1 s, and replaced from 71 s on
		wantUses(t, p, s, terms, 35*time.Second, "2", "2", "3")
		wantConns(t, p, 1)
		st := p.Stats()
		if st.Replacements != 2 || st.Closes[ReasonMaxLifetime] != 2 || st.Misses[MissCold] != 1 || len(st.Misses) != 1 {
			t.Errorf("%+v", st)
		}
	})
}

func TestAConnectionIsReplacedBeforeItHasServedItsLastRequest(t *testing.T) {
	replacing(t, func(t *testing.T, p *Pool[string, *successive], s *shop) {
		terms := Terms{MaxReuse: 7}
		wantUses(t, p, s, terms, 2*time.Second, "1cold", "1", "1", "1", "1", "1", "1", "1", "2", "2", "2", "2", "2", "2", "2", "2", "3")
		wantConns(t, p, 1)
		if st := p.Stats(); st.Closes[ReasonMaxReuse] != 2 {
			t.Errorf("%+v", st)
		}
	})
}

func TestTheOldConnectionServesUntilTheNewOneStands(t *testing.T) {
	replacing(t, func(t *testing.T, p *Pool[string, *successive], s *shop) {
		terms := Terms{MaxLifetime: 80 * time.Second}
		wantUses(t, p, s, terms, 0, "1cold")
		time.Sleep(68 * time.Second)
		wantUses(t, p, s, terms, 0, "1")
		lease, ok := p.TryAcquire("a", terms) // the dial takes a second
		if !ok || lease.Conn().number != 1 {
			t.Fatal("the old connection is gone before the new one stands")
		}
		time.Sleep(2 * time.Second)
		if reason := lease.Release(); reason != ReasonMaxLifetime {
			t.Errorf("the old connection ends with %q", reason)
		}
		wantConns(t, p, 1)
	})
}

func TestAReplacementThatFailsCostsNothing(t *testing.T) {
	replacing(t, func(t *testing.T, p *Pool[string, *successive], s *shop) {
		terms := Terms{MaxReuse: 7}
		wantUses(t, p, s, terms, 0, "1cold", "1", "1", "1", "1")
		s.failing = true
		wantUses(t, p, s, terms, 2*time.Second, "1", "1", "1")
		s.failing = false
		wantUses(t, p, s, terms, 0, "2cold")
		if st := p.Stats(); st.DialFailures != 1 || st.Replacements != 1 {
			t.Errorf("%+v", st)
		}
	})
}

func TestAConnectionThatIsNotInUseIsNotReplaced(t *testing.T) {
	replacing(t, func(t *testing.T, p *Pool[string, *successive], s *shop) {
		use(t, p, s, Terms{MaxLifetime: time.Hour})
		time.Sleep(2 * time.Hour)
		wantConns(t, p, 0)
		if s.opened != 1 {
			t.Errorf("%d connections were opened", s.opened)
		}
	})
}

func TestAReplacementThatNobodyUsesIsNotReplaced(t *testing.T) {
	replacing(t, func(t *testing.T, p *Pool[string, *successive], s *shop) {
		wantUses(t, p, s, Terms{MaxLifetime: 20 * time.Second}, 8*time.Second, "1cold", "1")
		time.Sleep(2 * time.Second)
		wantConns(t, p, 1)
		if s.opened != 2 {
			t.Fatalf("%d connections were opened, want a replacement", s.opened)
		}
		time.Sleep(time.Minute)
		wantConns(t, p, 0)
		if s.opened != 2 {
			t.Errorf("%d connections were opened", s.opened)
		}
	})
}

func TestAReplacementKeepsToMaxConns(t *testing.T) {
	replacing(t, func(t *testing.T, p *Pool[string, *successive], s *shop) {
		terms := Terms{MaxReuse: 7, MaxConns: 1}
		most := 0
		for range 40 {
			use(t, p, s, terms)
			st := p.Stats()
			most = max(most, st.Idle+st.Active+st.Dialing)
			time.Sleep(1500 * time.Millisecond)
		}
		st := p.Stats()
		if most > 1 || st.Misses[MissCold] != 1 || st.Misses[MissBusy]+st.Misses[MissExpired] != 0 || s.opened < 5 {
			t.Errorf("at most %d connections, %d opened, misses %v", most, s.opened, st.Misses)
		}
	})
}

func TestFewConnectionsOfAKeyAreReplacedAtATime(t *testing.T) {
	replacing(t, func(t *testing.T, p *Pool[string, *successive], s *shop) {
		terms := Terms{MaxLifetime: 160 * time.Second}
		var leases []Lease[string, *successive]
		for range 16 {
			lease, err := p.Acquire(t.Context(), "a", s, terms)
			if err != nil {
				t.Fatal(err)
			}
			leases = append(leases, lease)
		}
		time.Sleep(135 * time.Second)
		for _, lease := range leases {
			lease.Release()
		}
		for range 20 {
			time.Sleep(time.Second)
			synctest.Wait()
			if st := p.Stats(); st.Dialing > 1 || st.Idle > 17 {
				t.Fatalf("%d dials under way, %d connections idle", st.Dialing, st.Idle)
			}
		}
		wantConns(t, p, 16)
		if s.opened < 30 {
			t.Errorf("%d connections were opened, want most of 16 replaced", s.opened)
		}
	})
}

func TestNothingIsReplacedAfterCloseIdle(t *testing.T) {
	replacing(t, func(t *testing.T, p *Pool[string, *successive], s *shop) {
		terms := Terms{MaxReuse: 7}
		wantUses(t, p, s, terms, 0, "1cold", "1", "1", "1", "1", "1", "1")
		p.CloseIdle() // while a replacement is dialed
		time.Sleep(2 * time.Second)
		wantConns(t, p, 0)
	})
}

// branch is a HostDialer whose connections belong to the key that it says, or to the one that the pool would like.
type branch struct {
	*shop
	key atomic.Value // a string
}

func (b *branch) DialHost(ctx context.Context, first string) (string, *successive, error) {
	c, err := b.Dial(ctx)
	if key, ok := b.key.Load().(string); ok {
		first = key
	}
	return first, c, err
}

// useHost leases a connection of the host for a second, and returns its key and number.
func useHost(t *testing.T, h *Host[string, *successive], b *branch, terms Terms) string {
	t.Helper()
	lease, err := h.Acquire(t.Context(), b, terms)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	lease.Release()
	synctest.Wait()
	return fmt.Sprint(lease.Key(), lease.Conn().number)
}

func TestAConnectionIsUsedUpBeforeItsSuccessorOfAnotherKey(t *testing.T) {
	replacing(t, func(t *testing.T, p *Pool[string, *successive], s *shop) {
		b := &branch{shop: s}
		b.key.Store("a")
		h := p.NewHost([]string{"a", "b"}, nil)
		h.SetReplacement(b)
		terms := Terms{MaxReuse: 39} // 40 leases, of which the last four are left when the replacement begins
		for range 36 {
			useHost(t, h, b, terms)
		}
		b.key.Store("b")
		time.Sleep(2 * time.Second) // the replacement lands
		for i := range 4 {
			if got := useHost(t, h, b, terms); got != "a1" {
				t.Errorf("lease %d is of %s, want a1, which is to be used up", 37+i, got)
			}
		}
		if got := useHost(t, h, b, terms); got != "b2" {
			t.Errorf("the next lease is of %s, want b2", got)
		}
	})
}

func TestWithABalanceASuccessorIsDialedForTheSameKey(t *testing.T) {
	replacing(t, func(t *testing.T, p *Pool[string, *successive], s *shop) {
		b := &branch{shop: s}
		h := p.NewHost([]string{"a", "b"}, nil)
		h.SetBalance(BalanceRoundRobin, b, 0)
		h.SetReplacement(b)
		terms := Terms{MaxLifetime: 80 * time.Second}
		for range 30 {
			useHost(t, h, b, terms)
			time.Sleep(9 * time.Second)
		}
		keys := p.Stats().Keys
		if a, b := keys["a"], keys["b"]; a.Idle != 1 || b.Idle != 1 || p.Stats().Opened > 10 {
			t.Errorf("%d and %d idle connections of %d opened, want one of each key, and a successor for each", a.Idle, b.Idle, p.Stats().Opened)
		}
	})
}
