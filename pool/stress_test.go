package pool

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// stressed is a stressConn, shared or not.
type stressed interface {
	Conn
	conn() *stressConn
}

// stressConn notices when more use it at once than may, when it is closed twice, in use or under the lock, and when
// it is probed in use although it is not shared.
type stressConn struct {
	s      *stress
	users  atomic.Int32
	closes atomic.Int32
	owned  atomic.Bool // hijacked
	retire func(Reason)
	resize func(int) // nil: it is not shared
}

// sharedStress is a stressConn that is a Sharer.
type sharedStress struct{ *stressConn }

// mostUsers is the highest capacity of a sharedStress.
const mostUsers = 4

func (c *stressConn) conn() *stressConn { return c }

func (c sharedStress) Share(resize func(int)) int {
	c.resize = resize
	return rand.N(mostUsers + 1)
}

func (c *stressConn) Probe() Reason {
	if c.resize == nil && c.users.Load() > 0 || c.closes.Load() > 0 {
		c.s.complain("a connection is probed while in use or closed")
	}
	if rand.N(20) == 0 {
		return ReasonPeerClosed
	}
	return ""
}

func (c *stressConn) Close() error {
	if c.users.Load() > 0 || c.closes.Add(1) > 1 || c.owned.Load() {
		c.s.complain("a connection is closed while in use, twice, or after a Hijack")
	}
	if held(&c.s.pool.mu) {
		c.s.complain("a connection is closed under the lock")
	}
	c.s.closed.Add(1)
	return nil
}

func (c *stressConn) Attach(place Place[int, stressed]) { c.retire = place.Retire }

// stress is a pool that many use at once.
type stress struct {
	*testing.T
	pool     *Pool[int, stressed]
	terms    Terms
	expect   []int // Terms.Expect; none: every connection is exclusive
	opened   atomic.Int64
	closed   atomic.Int64
	hijacked atomic.Int64
	served   atomic.Int64
	failed   atomic.Bool
}

func (s *stress) complain(what string) {
	if !s.failed.Swap(true) {
		s.Error(what)
	}
}

func (s *stress) Dial(context.Context) (stressed, error) {
	for range rand.N(10) {
		runtime.Gosched()
	}
	switch rand.N(20) {
	case 0:
		return nil, errDial
	case 1:
		panic(errDial)
	}
	s.opened.Add(1)
	conn := &stressConn{s: s}
	if len(s.expect) > 0 && rand.N(10) > 0 {
		return sharedStress{conn}, nil
	}
	return conn, nil
}

func (s *stress) use(key int) {
	terms := s.terms
	terms.Fresh, terms.Unpooled = rand.N(10) == 0, rand.N(10) == 0
	if n := len(s.expect); n > 0 {
		terms.Expect = s.expect[rand.N(n)]
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	if rand.N(4) == 0 {
		go cancel(errGaveUp)
	}
	lease, err := s.pool.Acquire(ctx, key, s, terms)
	if err != nil {
		if !errors.Is(err, errGaveUp) && !errors.Is(err, errDial) && !errors.Is(err, ErrClosed) &&
			(len(s.expect) == 0 || !errors.Is(err, ErrRetired)) { // dialed without capacity
			s.complain("Acquire: " + err.Error())
		}
		return
	}
	s.served.Add(1)
	conn := lease.Conn().conn()
	switch users := conn.users.Add(1); {
	case users > mostUsers, users > 1 && (conn.resize == nil || terms.Unpooled):
		s.complain("too many leases of one connection")
	case lease.Reused() && (terms.Unpooled || terms.Fresh && conn.resize == nil):
		s.complain("a lease of a used connection that had to be new")
	}
	runtime.Gosched()
	s.end(lease)
}

func (s *stress) end(lease Lease[int, stressed]) {
	conn := lease.Conn().conn()
	if rand.N(10) == 0 {
		go conn.retire("retired")
	}
	if rand.N(10) == 0 {
		lease.Limit(time.Millisecond, 2)
	}
	if conn.resize != nil && rand.N(5) == 0 {
		go conn.resize(rand.N(mostUsers + 1))
	}
	conn.users.Add(-1)
	switch rand.N(20) {
	case 0:
		if conn.resize != nil {
			lease.Discard("done")
			break
		}
		conn.owned.Store(true)
		s.hijacked.Add(1)
		lease.Hijack()
	case 1:
		lease.Discard("done")
	default:
		lease.Release()
	}
}

// watch looks at the books again and again until done.
func (s *stress) watch(done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		default:
		}
		if err := checkInvariants(s.pool); err != nil {
			s.complain(err.Error())
		}
		for _, k := range s.pool.Stats().Keys {
			if limit := s.terms.MaxConns; limit > 0 && k.Idle+k.Active+k.Dialing > limit {
				s.complain("more connections than MaxConns")
			}
		}
		if rand.N(10) == 0 {
			s.pool.CloseIdle()
		}
		runtime.Gosched()
	}
}

func TestTheBooksAreInOrderHoweverManyUseThePool(t *testing.T) {
	for _, test := range []struct {
		name   string
		config Config[int, stressed]
		terms  Terms
		expect []int
	}{
		{"no limits", Config[int, stressed]{}, Terms{}, nil},
		{"one connection", Config[int, stressed]{MaxDialsPerKey: 1}, Terms{MaxConns: 1}, nil},
		{"tight", Config[int, stressed]{MaxIdle: 2, MaxIdlePerKey: 1, MaxDialsPerKey: 2}, Terms{
			IdleTimeout: 100 * time.Microsecond, MaxReuse: 5, MaxLifetime: 5 * time.Millisecond, MaxConns: 3,
		}, nil},
		{"nothing kept", Config[int, stressed]{MaxIdle: -1}, Terms{MaxConns: 2}, nil},
		{"shared", Config[int, stressed]{}, Terms{}, []int{2}},
		{"perhaps shared", Config[int, stressed]{}, Terms{}, []int{0, ExpectUnknown}},
		{"one shared connection", Config[int, stressed]{MaxDialsPerKey: 1}, Terms{MaxConns: 1}, []int{ExpectUnknown}},
		{"tight and shared", Config[int, stressed]{MaxIdle: 2, MaxIdlePerKey: 1, MaxDialsPerKey: 2}, Terms{
			IdleTimeout: 100 * time.Microsecond, MaxReuse: 9, MaxLifetime: 5 * time.Millisecond, MaxConns: 3,
		}, []int{0, 3, ExpectUnknown}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &stress{T: t, terms: test.terms, expect: test.expect}
			s.pool = New(test.config)
			done := make(chan struct{})
			var users, watcher sync.WaitGroup
			watcher.Go(func() { s.watch(done) })
			for i := range 16 {
				users.Go(func() {
					for range 200 {
						s.use(i % 3)
					}
				})
			}
			users.Wait() // for ever, if a want were lost
			close(done)
			watcher.Wait()
			s.balance()
		})
	}
}

// balance shuts the pool down and adds up.
func (s *stress) balance() {
	if err := s.pool.Shutdown(context.Background()); err != nil {
		s.Errorf("Shutdown: %v", err)
	}
	if err := checkInvariants(s.pool); err != nil {
		s.Error(err)
	}
	opened, closed, hijacked := s.opened.Load(), s.closed.Load(), s.hijacked.Load()
	if opened != closed+hijacked || s.served.Load() == 0 {
		s.Errorf("%d leases; opened %d, closed %d, hijacked %d", s.served.Load(), opened, closed, hijacked)
	}
	stats := s.pool.Stats()
	if stats.Opened != uint64(opened) || stats.Hijacked != uint64(hijacked) || len(stats.Keys) != 0 {
		s.Errorf("stats are %+v; opened %d, hijacked %d", stats, opened, hijacked)
	}
}

func TestShuttingDownUnderLoadLosesNothing(t *testing.T) {
	for i := range 20 {
		s := &stress{T: t, terms: Terms{MaxConns: 2}}
		if i%2 == 0 {
			s.expect = []int{ExpectUnknown, 2}
		}
		s.pool = New(Config[int, stressed]{MaxIdle: 3})
		var users sync.WaitGroup
		for i := range 8 {
			users.Go(func() {
				for range 50 {
					s.use(i % 2)
				}
			})
		}
		for s.served.Load() < 20 {
			runtime.Gosched()
		}
		s.balance()
		users.Wait()
	}
}
