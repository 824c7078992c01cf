package pool

import (
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

// testLease is a lease whose Conn is the fakeConn itself, shared or not.
type testLease struct{ Lease[string, fake] }

func (l testLease) Conn() *fakeConn {
	if !l.Valid() {
		return nil
	}
	return l.Lease.Conn().fake()
}

// world is a pool with connections, dials and hooks under a test's control. Dials wait until the test finishes
// them; the world notes what the pool did to its connections, and fails the test where no pool may do so.
type world struct {
	t    reporter
	pool *Pool[string, fake]

	hosts map[string]*Host[string, fake]

	mu       sync.Mutex
	shares   bool // connections to come are shared, with this capacity
	capacity int
	made     int
	pending  []*fakeDial
	calls    []*call
	closes   []closeEvent
	closings []Closing
	forgets  []string
	backlogs []Backlog
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

func newWorld(t reporter, config config) *world {
	w := &world{t: t, hosts: make(map[string]*Host[string, fake])}
	config.OnClose = w.onClose
	config.OnForget = w.onForget
	config.OnHeldBack = w.onHeldBack
	w.pool = New(config)
	w.pool.draw = func() time.Duration { return 1000 }
	return w
}

// end lets every goroutine of the world end, as a bubble requires, no matter what the test has left.
func (w *world) end() {
	for _, c := range w.calls {
		c.cancel(errGaveUp)
	}
	for dials := w.dials(); len(dials) > 0; dials = w.dials() {
		w.finish(dials[0], func() (*fakeConn, error) { return nil, errDial })
	}
}

// inBubble runs a test in a synctest bubble, with a world that must end with its books in order.
func inBubble(t *testing.T, config config, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, config)
		t.Cleanup(w.end)
		test(t, w)
		w.settled()
	})
}

// settled waits until every goroutine waits, and checks everything that must hold then.
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

// unlocked complains when this goroutine holds the pool's lock.
func (w *world) unlocked(what string) {
	if held(&w.pool.mu) {
		w.complain("%s was called with the lock held", what)
	}
}

// held reports whether this goroutine holds the lock and so will never see it free. Other goroutines hold it only for a
// moment, which may be long on a busy machine.
func held(mu *sync.Mutex) bool {
	for range 5_000_000 {
		if mu.TryLock() {
			mu.Unlock()
			return false
		}
		runtime.Gosched()
	}
	return true
}

func (w *world) onClose(key string, closed fake, closing Closing) {
	w.unlocked("OnClose")
	conn := closed.fake()
	w.mu.Lock()
	defer w.mu.Unlock()
	if conn.closed != 1 {
		w.failures = append(w.failures, fmt.Sprintf("OnClose of conn %d after %d closes", conn.id, conn.closed))
	}
	w.closes = append(w.closes, closeEvent{key, conn.id, closing.Reason})
	w.closings = append(w.closings, closing)
}

// forgotten are the keys that the pool has reported, in that order.
func (w *world) forgotten() []string {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.forgets)
}

// wantForgotten checks which keys have been forgotten so far.
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

// fake is a connection of the world: a fakeConn, which serves one lease at a time, or a sharedConn.
type fake interface {
	Conn
	Attach(Place[string, fake]) // as a Retirer
	fake() *fakeConn
}

// fakeConn is a connection of the world. Its fields are guarded by world.mu.
type fakeConn struct {
	world    *world
	id       int
	sick     Reason // what its probe says
	held     int    // leases between their begin and their end, as far as the test says so
	closed   int
	retire   func(Reason)
	probed   func() // called by every probe, if set
	private  bool
	key      string // that a dial for a host has led to
	shares   bool   // it is dialed as a sharedConn
	capacity int    // that a sharedConn begins with
	resize   func(int)
}

func (c *fakeConn) fake() *fakeConn { return c }

// sharedConn is a fakeConn that is a Sharer.
type sharedConn struct{ *fakeConn }

func (c sharedConn) Share(resize func(int)) int {
	c.world.unlocked("Share")
	c.world.mu.Lock()
	defer c.world.mu.Unlock()
	if c.resize != nil {
		c.world.failures = append(c.world.failures, fmt.Sprintf("second Share of conn %d", c.id))
	}
	c.resize = resize
	return c.capacity
}

func (w *world) newConn() *fakeConn {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.made++
	return &fakeConn{world: w, id: w.made, shares: w.shares, capacity: w.capacity}
}

func (c *fakeConn) Probe() Reason {
	c.world.unlocked("Probe")
	c.world.mu.Lock()
	sick, held, closed, probed, shares := c.sick, c.held, c.closed, c.probed, c.shares
	c.world.mu.Unlock()
	if held > 0 && !shares || closed > 0 {
		c.world.complain("Probe of conn %d while held=%d, closed=%d", c.id, held, closed)
	}
	if probed != nil {
		probed()
	}
	return sick
}

func (c *fakeConn) Private() bool {
	c.world.unlocked("Private")
	return c.private
}

func (c *fakeConn) Close() error {
	c.world.unlocked("Close")
	c.world.mu.Lock()
	defer c.world.mu.Unlock()
	c.closed++
	if c.closed > 1 || c.held > 0 {
		c.world.failures = append(c.world.failures,
			fmt.Sprintf("Close of conn %d, number %d, while held=%d", c.id, c.closed, c.held))
	}
	return errors.New("an error that nobody looks at")
}

func (c *fakeConn) Attach(place Place[string, fake]) {
	c.world.unlocked("Attach")
	c.world.mu.Lock()
	defer c.world.mu.Unlock()
	if c.retire != nil {
		c.world.failures = append(c.world.failures, fmt.Sprintf("second Attach of conn %d", c.id))
	}
	c.retire = place.Retire
}

func (c *fakeConn) set(change func(c *fakeConn)) {
	c.world.mu.Lock()
	defer c.world.mu.Unlock()
	change(c)
}

func (c *fakeConn) hold() *fakeConn {
	c.set(func(c *fakeConn) { c.held++ })
	return c
}

func (c *fakeConn) letGo() *fakeConn {
	c.set(func(c *fakeConn) { c.held-- })
	return c
}

func (c *fakeConn) sicken(reason Reason) {
	c.set(func(c *fakeConn) { c.sick = reason })
}
