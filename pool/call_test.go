package pool

import (
	"context"
	"errors"
	"slices"
	"testing/synctest"
)

// fakeDial is a dial under way.
type fakeDial struct {
	ctx   context.Context
	asker any // the value askerKey of the Acquire that asked for it
	end   chan func() (*fakeConn, error)
}

type askerKey struct{}

// Dial makes the world a Dialer: it waits until the test finishes the dial.
func (w *world) Dial(ctx context.Context) (fake, error) {
	w.unlocked("Dial")
	d := &fakeDial{ctx: ctx, asker: ctx.Value(askerKey{}), end: make(chan func() (*fakeConn, error), 1)}
	w.mu.Lock()
	w.pending = append(w.pending, d)
	w.mu.Unlock()
	conn, err := (<-d.end)()
	if conn != nil && conn.shares {
		return sharedConn{conn}, err
	}
	return conn, err
}

// DialHost is Dial for a host.
func (w *world) DialHost(ctx context.Context, first string) (string, fake, error) {
	conn, err := w.Dial(ctx)
	if err != nil {
		return "", nil, err
	}
	if conn.fake().key == "" {
		conn.fake().key = first // as the host would like it
	}
	return conn.fake().key, conn, err
}

// dials are the dials under way, in the order in which the pool has begun them.
func (w *world) dials() []*fakeDial {
	synctest.Wait()
	begun := make(map[context.Context]int)
	w.pool.mu.Lock()
	for d := w.pool.dials.first(); d != nil; d = d.inPool.next.owner {
		begun[d.ctx] = len(begun)
	}
	w.pool.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	dials := slices.Clone(w.pending) // in the order in which their goroutines have run
	slices.SortFunc(dials, func(a, b *fakeDial) int { return begun[a.ctx] - begun[b.ctx] })
	return dials
}

// finish ends the dial in the way that end says.
func (w *world) finish(d *fakeDial, end func() (*fakeConn, error)) {
	w.mu.Lock()
	w.pending = slices.DeleteFunc(w.pending, func(other *fakeDial) bool { return other == d })
	w.mu.Unlock()
	d.end <- end
	synctest.Wait()
}

// dialed ends the oldest dial with a connection.
func (w *world) dialed() *fakeConn {
	w.t.Helper()
	w.wantDials(-1)
	return w.connect(w.dials()[0])
}

// connect ends the dial with a connection.
func (w *world) connect(d *fakeDial) *fakeConn {
	conn := w.newConn()
	w.finish(d, func() (*fakeConn, error) { return conn, nil })
	return conn
}

// dialOf finds the dial that the call with that id has asked for.
func (w *world) dialOf(id int) *fakeDial {
	w.t.Helper()
	for _, d := range w.dials() {
		if d.asker == id {
			return d
		}
	}
	w.t.Fatalf("no dial is under way that want %d has asked for", id)
	return nil
}

// dialFails ends the oldest dial with an error.
func (w *world) dialFails(err error) {
	w.t.Helper()
	w.wantDials(-1)
	w.finish(w.dials()[0], func() (*fakeConn, error) { return nil, err })
}

// wantDials checks how many dials are under way; -1 means at least one.
func (w *world) wantDials(n int) {
	w.t.Helper()
	if got := len(w.dials()); got != n && (n >= 0 || got == 0) {
		w.t.Fatalf("%d dials are under way, want %d", got, n)
	}
}

// call is an Acquire on its own goroutine.
type call struct {
	world  *world
	id     int
	cancel context.CancelCauseFunc
	done   chan struct{}
	lease  testLease
	err    error
}

// acquire starts an Acquire and lets it run until it waits or returns.
func (w *world) acquire(key string, terms Terms) *call {
	return w.acquireAs(0, key, terms)
}

func (w *world) acquireAs(id int, key string, terms Terms) *call {
	ctx, cancel := context.WithCancelCause(context.WithValue(context.Background(), askerKey{}, id))
	c := &call{world: w, id: id, cancel: cancel, done: make(chan struct{})}
	w.calls = append(w.calls, c)
	go func() {
		defer close(c.done)
		if h := w.hosts[key]; h != nil {
			c.lease.Lease, c.err = h.Acquire(ctx, w, terms)
		} else {
			c.lease.Lease, c.err = w.pool.Acquire(ctx, key, w, terms)
		}
		if c.lease.Valid() {
			c.lease.Conn().hold()
		}
	}()
	synctest.Wait()
	return c
}

// giveUp ends the call's context, and it returns.
func (c *call) giveUp() {
	c.world.t.Helper()
	c.cancel(errGaveUp)
	wantError(c.world.t, c.failed(), errGaveUp)
}

func (c *call) waits() bool {
	synctest.Wait()
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

// leased returns the lease that the call must have by now.
func (c *call) leased() testLease {
	c.world.t.Helper()
	if c.waits() {
		c.world.t.Fatal("Acquire still waits, want a lease")
	}
	if c.err != nil {
		c.world.t.Fatalf("Acquire returned %v, want a lease", c.err)
	}
	return c.lease
}

// failed returns the error that the call must have by now.
func (c *call) failed() error {
	c.world.t.Helper()
	if c.waits() {
		c.world.t.Fatal("Acquire still waits, want an error")
	}
	if c.err == nil {
		c.world.t.Fatal("Acquire returned a lease, want an error")
	}
	return c.err
}

// leasedByDial finishes the only dial under way, and returns the lease that the call must have then.
func (c *call) leasedByDial() testLease {
	c.world.t.Helper()
	c.world.wantDials(1)
	c.world.dialed()
	return c.leased()
}

// dialed ends the call's own dial with a connection.
func (c *call) dialed() *fakeConn {
	c.world.t.Helper()
	return c.world.connect(c.world.dialOf(c.id))
}

// dialFails ends the call's own dial with an error.
func (c *call) dialFails(err error) {
	c.world.t.Helper()
	c.world.finish(c.world.dialOf(c.id), func() (*fakeConn, error) { return nil, err })
}

func (c *call) stillWaits() {
	c.world.t.Helper()
	if !c.waits() {
		c.world.t.Fatalf("Acquire returned %v, %v; want it to wait", c.lease, c.err)
	}
}

// lease acquires a connection that has to be dialed.
func (w *world) lease(key string, terms Terms) testLease {
	w.t.Helper()
	c := w.acquire(key, terms)
	c.stillWaits()
	w.dialed()
	return c.leased()
}

// release ends the lease and returns the result of Release.
func (w *world) release(lease testLease) Reason {
	lease.Conn().letGo()
	reason := lease.Release()
	synctest.Wait()
	return reason
}

func (w *world) discard(lease testLease, reason Reason) {
	lease.Conn().letGo()
	lease.Discard(reason)
	synctest.Wait()
}

// idle makes n idle connections of the key and returns them, the first released first.
func (w *world) idle(n int, key string, terms Terms) []*fakeConn {
	w.t.Helper()
	leases := make([]testLease, n)
	for i := range leases {
		leases[i] = w.lease(key, terms)
	}
	conns := make([]*fakeConn, n)
	for i, lease := range leases {
		conns[i] = lease.Conn()
		if reason := w.release(lease); reason != "" {
			w.t.Fatalf("Release closed the connection: %s", reason)
		}
	}
	return conns
}

func (w *world) tryAcquire(key string, terms Terms) (testLease, bool) {
	if h := w.hosts[key]; h != nil {
		lease, ok := h.TryAcquire(terms)
		return testLease{lease}, ok
	}
	lease, ok := w.pool.TryAcquire(key, terms)
	return testLease{lease}, ok
}

// try takes an idle connection, or a place on a shared one, that has to be there.
func (w *world) try(key string, terms Terms) testLease {
	w.t.Helper()
	lease, ok := w.tryAcquire(key, terms)
	if !ok {
		w.t.Fatalf("TryAcquire(%q) found no idle connection", key)
	}
	lease.Conn().hold()
	return lease
}

func (w *world) tryNothing(key string, terms Terms) {
	w.t.Helper()
	if lease, ok := w.tryAcquire(key, terms); ok {
		w.t.Fatalf("TryAcquire(%q) leased conn %d, want none", key, lease.Conn().id)
	}
}

// wantCloses checks which connections have been closed so far, and why.
func (w *world) wantCloses(want map[*fakeConn]Reason) {
	w.t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	got := make(map[int]Reason)
	for _, event := range w.closes {
		got[event.conn] = event.reason
	}
	for conn, reason := range want {
		if got[conn.id] != reason {
			w.t.Errorf("conn %d: closed because of %q, want %q", conn.id, got[conn.id], reason)
		}
	}
	if len(got) != len(want) {
		w.t.Errorf("closed: %v, want %d of them", got, len(want))
	}
}

// wantGauges checks how many connections are idle and active, and how many dials and wants there are.
func (w *world) wantGauges(idle, active, dialing, waiting int) {
	w.t.Helper()
	synctest.Wait()
	s := w.pool.Stats()
	got := [...]int{s.Idle, s.Active, s.Dialing, s.Waiting}
	if want := [...]int{idle, active, dialing, waiting}; got != want {
		w.t.Errorf("idle, active, dialing, waiting = %v, want %v", got, want)
	}
}

func wantReason(t reporter, got, want Reason) {
	t.Helper()
	if got != want {
		t.Errorf("reason is %q, want %q", got, want)
	}
}

func wantConn(t reporter, lease testLease, want *fakeConn) {
	t.Helper()
	if lease.Conn() != want {
		t.Errorf("leased conn %d, want conn %d", lease.Conn().id, want.id)
	}
}

func wantError(t reporter, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("error is %v, want %v", got, want)
	}
}
