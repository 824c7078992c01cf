package pool

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var (
	errDial   = errors.New("dial failed")
	errGaveUp = errors.New("gave up")
)

// The names of what the tests lease, so that they read well.
type (
	testPool  = Pool[string, *fakeConn]
	testLease = Lease[string, *fakeConn]
)

// world is a pool with connections, dials and hooks under a test's control. Dials wait until the test finishes
// them; the world notes what the pool did to its connections, and fails the test where no pool may do so.
type world struct {
	t    reporter
	pool *testPool

	mu       sync.Mutex
	made     int
	pending  []*fakeDial
	calls    []*call
	closes   []closeEvent
	forgets  []string
	failures []string
}

type closeEvent struct {
	key    string
	conn   int
	reason Reason
}

// reporter is what *testing.T and *rapid.T have in common, as far as the world needs it.
type reporter interface {
	Helper()
	Error(...any)
	Errorf(string, ...any)
	Fatal(...any)
	Fatalf(string, ...any)
}

func newWorld(t reporter, config Config[string, *fakeConn]) *world {
	w := &world{t: t}
	config.OnClose = w.onClose
	config.OnForget = w.onForget
	w.pool = New(config)
	w.pool.draw = func() time.Duration { return 1000 }
	return w
}

// end lets every goroutine of the world come to its end, as a bubble needs it, whatever the test has left.
func (w *world) end() {
	for _, c := range w.calls {
		c.cancel(errGaveUp)
	}
	for dials := w.dials(); len(dials) > 0; dials = w.dials() {
		w.finish(dials[0], func() (*fakeConn, error) { return nil, errDial })
	}
}

// inBubble runs a test in a synctest bubble, with a world that must end with its books in order.
func inBubble(t *testing.T, config Config[string, *fakeConn], test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, config)
		t.Cleanup(w.end)
		test(t, w)
		w.settled()
	})
}

// settled waits until nothing moves any more, and looks at everything that holds then.
func (w *world) settled() {
	w.t.Helper()
	synctest.Wait()
	for _, failure := range w.complaints() {
		w.t.Error(failure)
	}
	if err := checkInvariants(w.pool); err != nil {
		w.t.Errorf("the pool's books are not in order: %v", err)
	}
}

func (w *world) complaints() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.failures)
}

func (w *world) complain(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failures = append(w.failures, fmt.Sprintf(format, args...))
}

// unlocked complains when the pool holds its lock. Another goroutine may hold it for a moment.
func (w *world) unlocked(what string) {
	for range 10_000 {
		if w.pool.mu.TryLock() {
			w.pool.mu.Unlock()
			return
		}
		runtime.Gosched()
	}
	w.complain("%s was called with the lock held", what)
}

func (w *world) onClose(key string, conn *fakeConn, reason Reason) {
	w.unlocked("OnClose")
	w.mu.Lock()
	defer w.mu.Unlock()
	if conn.closed != 1 {
		w.failures = append(w.failures, fmt.Sprintf("OnClose of conn %d after %d closes", conn.id, conn.closed))
	}
	w.closes = append(w.closes, closeEvent{key, conn.id, reason})
}

// forgotten are the keys that the pool has reported, in that order.
func (w *world) forgotten() []string {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.forgets)
}

// wantForgotten says which keys have to be forgotten by now.
func (w *world) wantForgotten(want ...string) {
	w.t.Helper()
	if got := w.forgotten(); !slices.Equal(got, want) {
		w.t.Errorf("forgotten keys are %v, want %v", got, want)
	}
}

func (w *world) onForget(key string) {
	w.unlocked("OnForget")
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forgets = append(w.forgets, key)
}

// fakeConn is a connection of the world. Its fields are guarded by world.mu.
type fakeConn struct {
	world  *world
	id     int
	sick   Reason // what its probe says
	held   bool   // between a lease's begin and its end, as far as the test says so
	closed int
	retire func(Reason)
	probed func() // called by every probe, if set
}

func (w *world) newConn() *fakeConn {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.made++
	return &fakeConn{world: w, id: w.made}
}

func (c *fakeConn) Probe() Reason {
	c.world.unlocked("Probe")
	c.world.mu.Lock()
	sick, held, closed, probed := c.sick, c.held, c.closed, c.probed
	c.world.mu.Unlock()
	if held || closed > 0 {
		c.world.complain("Probe of conn %d while held=%v, closed=%d", c.id, held, closed)
	}
	if probed != nil {
		probed()
	}
	return sick
}

func (c *fakeConn) Close() error {
	c.world.unlocked("Close")
	c.world.mu.Lock()
	defer c.world.mu.Unlock()
	c.closed++
	if c.closed > 1 || c.held {
		c.world.failures = append(c.world.failures,
			fmt.Sprintf("Close of conn %d, number %d, while held=%v", c.id, c.closed, c.held))
	}
	return errors.New("an error that nobody looks at")
}

func (c *fakeConn) Attach(retire func(Reason)) {
	c.world.unlocked("Attach")
	c.world.mu.Lock()
	defer c.world.mu.Unlock()
	if c.retire != nil {
		c.world.failures = append(c.world.failures, fmt.Sprintf("second Attach of conn %d", c.id))
	}
	c.retire = retire
}

func (c *fakeConn) set(change func(c *fakeConn)) {
	c.world.mu.Lock()
	defer c.world.mu.Unlock()
	change(c)
}

func (c *fakeConn) hold() *fakeConn {
	c.set(func(c *fakeConn) { c.held = true })
	return c
}

func (c *fakeConn) letGo() *fakeConn {
	c.set(func(c *fakeConn) { c.held = false })
	return c
}

func (c *fakeConn) sicken(reason Reason) {
	c.set(func(c *fakeConn) { c.sick = reason })
}

// fakeDial is a dial under way.
type fakeDial struct {
	ctx   context.Context
	asker any // the value askerKey of the Acquire that asked for it
	end   chan func() (*fakeConn, error)
}

type askerKey struct{}

// Dial makes the world a Dialer: it waits until the test finishes the dial.
func (w *world) Dial(ctx context.Context) (*fakeConn, error) {
	w.unlocked("Dial")
	d := &fakeDial{ctx: ctx, asker: ctx.Value(askerKey{}), end: make(chan func() (*fakeConn, error), 1)}
	w.mu.Lock()
	w.pending = append(w.pending, d)
	w.mu.Unlock()
	return (<-d.end)()
}

// dials are the dials under way, oldest first.
func (w *world) dials() []*fakeDial {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.pending)
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
	conn := w.newConn()
	w.finish(w.dials()[0], func() (*fakeConn, error) { return conn, nil })
	return conn
}

// dialFails ends the oldest dial with an error.
func (w *world) dialFails(err error) {
	w.t.Helper()
	w.wantDials(-1)
	w.finish(w.dials()[0], func() (*fakeConn, error) { return nil, err })
}

// wantDials says how many dials have to be under way; -1 for some.
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

// acquire starts an Acquire and lets it come as far as it can.
func (w *world) acquire(key string, terms Terms) *call {
	return w.acquireAs(0, key, terms)
}

func (w *world) acquireAs(id int, key string, terms Terms) *call {
	ctx, cancel := context.WithCancelCause(context.WithValue(context.Background(), askerKey{}, id))
	c := &call{world: w, id: id, cancel: cancel, done: make(chan struct{})}
	w.calls = append(w.calls, c)
	go func() {
		defer close(c.done)
		c.lease, c.err = w.pool.Acquire(ctx, key, w, terms)
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

// release ends the lease and says what Release said.
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

// try takes an idle connection that has to be there.
func (w *world) try(key string, terms Terms) testLease {
	w.t.Helper()
	lease, ok := w.pool.TryAcquire(key, terms)
	if !ok {
		w.t.Fatalf("TryAcquire(%q) found no idle connection", key)
	}
	lease.Conn().hold()
	return lease
}

func (w *world) tryNothing(key string, terms Terms) {
	w.t.Helper()
	if lease, ok := w.pool.TryAcquire(key, terms); ok {
		w.t.Fatalf("TryAcquire(%q) leased conn %d, want none", key, lease.Conn().id)
	}
}

// wantCloses says which connections have to be closed by now, and why.
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

// wantGauges says how many connections have to be idle and active, and how many dials under way and wants.
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
