package pool

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// ErrClosed is returned by Acquire after Shutdown has been called.
var ErrClosed = errors.New("pool: closed")

// ErrRetired is wrapped by the error of an Acquire whose connection retired before any caller could lease it. That error
// is a [*RetiredError].
var ErrRetired = errors.New("pool: connection retired before its first lease")

// RetiredError is the error of an Acquire whose connection retired before any caller could lease it. It wraps ErrRetired.
type RetiredError struct {
	Reason Reason
	Err    error // what the connection's Failure returned, if it is a Failer; else nil

	failer Failer // what withFailure asks; nil: there is none
}

// Error returns the text of ErrRetired with the reason, and the text of Err.
func (e *RetiredError) Error() string {
	text := ErrRetired.Error() + ": " + string(e.Reason)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns ErrRetired, and Err if it is not nil.
func (e *RetiredError) Unwrap() []error {
	if e.Err == nil {
		return []error{ErrRetired}
	}
	return []error{ErrRetired, e.Err}
}

// retired returns the RetiredError of a connection. It does not ask the connection, because the caller holds the lock.
func retired(conn any, reason Reason) *RetiredError {
	failer, _ := conn.(Failer)
	return &RetiredError{Reason: reason, failer: failer}
}

// withFailure returns the error of a dial. If the connection has retired, withFailure adds what the connection says. Call
// it without the pool's lock.
func withFailure(err error) error {
	if gone, ok := err.(*RetiredError); ok && gone.failer != nil {
		return &RetiredError{Reason: gone.Reason, Err: gone.failer.Failure()}
	}
	return err
}

// Conn is a connection that a Pool keeps.
type Conn interface {
	// Probe returns "" if the connection can serve another lease, or the reason why it cannot. The pool calls Probe
	// at release and at checkout, without holding its lock. Unless the connection is a Sharer, the pool never calls
	// Probe while another caller leases the connection. Probe must not block. If Probe is expensive, implement
	// Rester.
	Probe() Reason
	// Close closes the connection. The pool calls it exactly once, without holding its lock, and never after a
	// Hijack. The pool ignores the error.
	Close() error
}

// Retirer is implemented by a Conn that can take itself out of the pool. K and C are those of the Pool.
type Retirer[K comparable, C Conn] interface {
	// Attach gives the connection its place in the pool. The pool calls Attach once, before the first lease, without
	// holding its lock.
	Attach(place Place[K, C])
}

// Failer is implemented by a Conn that knows why it has ended.
type Failer interface {
	// Failure returns the error of a use of the connection that begins now, or nil if there is none. The pool calls
	// Failure for the RetiredError, when the connection has retired before its first lease, without holding its lock.
	Failure() error
}

// Place is the place of one connection in a Pool. A connection of the type Retirer gets its Place from the pool. A Place
// is as small as a pointer. The zero Place is not valid.
type Place[K comparable, C Conn] struct{ entry *entry[K, C] }

// Retire closes the connection with the given reason: at once if the connection is idle, or when its lease ends if it is
// in use. The connection may call Retire at any time, from any goroutine and more than once. The first reason counts. An
// empty reason is counted as ReasonUnspecified.
func (l Place[K, C]) Retire(reason Reason) { l.entry.group.own.pool.retire(l.entry, reason) }

// Sharer is implemented by a Conn that can serve several leases at once. Such a Conn must be safe for concurrent use.
type Sharer interface {
	// Share returns how many leases the connection serves at once from the start. The pool calls Share once, before
	// the first lease, without holding its lock. A call of resize changes that number. The connection may call resize
	// at any time, from any goroutine. If the number falls below the number of current leases, these leases go on
	// undisturbed. A connection whose number is zero or less gets no new lease and is closed when its last lease
	// ends.
	Share(resize func(capacity int)) (capacity int)
}

// Private is implemented by a Conn that may be usable only by the Acquire that asked for its dial, because the Dialer
// made it from values in the context of that Acquire.
type Private interface {
	// Private reports whether the connection is private. The pool calls Private once, when the connection has been
	// dialed, without holding its lock. A private connection serves one lease, that of the Acquire that asked for its
	// dial, and is then closed, as if Terms.Unpooled had been set. If that Acquire no longer waits, the connection
	// serves no lease and is closed. The reason of these closes is ReasonUnpooled.
	Private() bool
}

// Dialer opens connections. The context of a dial carries the values of the context of the Acquire that asked for the
// dial, but is not canceled when that Acquire's context is canceled. Only Shutdown cancels it. The Dialer therefore
// needs a time-out of its own.
type Dialer[C Conn] interface {
	Dial(ctx context.Context) (C, error)
}

// Config holds the settings of a whole pool. The zero Config sets no limit.
type Config[K comparable, C Conn] struct {
	// MaxIdle limits the number of idle connections in the pool, and MaxIdlePerKey the number of idle connections of
	// each key. If MaxIdle is exceeded, the pool closes the connection that has been idle longest, whatever its key.
	// If MaxIdlePerKey would be exceeded, the pool closes the connection that was to become idle. Zero means no
	// limit. A negative value means that no idle connection is kept.
	MaxIdle, MaxIdlePerKey int
	// DialBurst is how many dials the pool begins at once for callers that wait for one key. It begins others as those
	// end, so that a burst of short requests is served by fewer connections than it has requests. If no dial has ended
	// for a few milliseconds, the pool begins a dial for each caller that waits. Zero or less means no such bound.
	DialBurst int
	// MaxDialsPerKey limits the number of dials under way at once for each key. Zero or less means no limit.
	MaxDialsPerKey int
	// OnClose is called each time the pool has closed a connection. It is not called after a Hijack. OnClose and
	// OnForget are called on the goroutine whose call led to them, without the pool's lock, and may use the pool.
	// They should return quickly. OnClose may be nil.
	OnClose func(key K, conn C, closing Closing)
	// OnForget is called when the pool has forgotten a key, because the key had no connection, dial or want any more.
	// Before OnForget is called, another Acquire may already have made the key known again. OnForget may be nil.
	OnForget func(key K)
	// OnHeldBack is called when an Acquire finds no connection and the pool cannot dial for it, because there are as many
	// connections and dials as its Terms.MaxConns allows. The Acquire then waits for another lease to end. OnHeldBack is
	// called once for such an Acquire, before it waits, on its goroutine, with its context, and without the pool's lock.
	// It may use the pool, but must not wait for an Acquire. OnHeldBack may be nil.
	OnHeldBack func(ctx context.Context, b Backlog)
}

// Closing says how a connection was closed.
type Closing struct {
	Reason Reason
	Idle   time.Duration // how long it had been idle, until it was closed or until a checkout found that it was spent; 0 if it was in use
	Uses   uint64        // number of leases that it had
}

// Pool keeps connections by key. It is safe for concurrent use. Use New to create a Pool.
type Pool[K comparable, C Conn] struct {
	config Config[K, C]
	epoch  time.Time              // moments are Durations since epoch: a Duration is cheaper to read and to compare than a Time
	draw   func() time.Duration   // draws a connection's jitter, in thousandths; tests replace it
	pick   func(n int) int        // draws a number from 0 to n-1, for a Balance or a pause; tests replace it
	nobody *wants[K, C]           // the wants of every host for which nobody waits; always empty
	latest atomic.Pointer[bounds] // the bounds that a connection was given last, for others to share

	// mu guards all fields below, every group, and the marked fields of every entry. It is never held during a call of
	// a Conn, a Dialer or a hook. Methods note in todo what to close, start and report, and unlock does that after it
	// has released mu. Sending on a want's channel is allowed under mu, because it never blocks.
	mu         sync.Mutex
	groups     map[K]*group[K, C]
	crowd      int         // the most groups since the map was made
	idle       chain[K, C] // of all keys, the most recently released first
	active     int
	dials      list[dial[K, C]] // under way
	waiting    int              // wants
	joined     uint64           // wants so far, which orders them
	lessons    uint32           // how often connections have shown a capacity, which orders what they have shown
	visits     uint64           // see host.reserved
	closing    int              // closed entries whose Close or OnClose has not returned
	closeIdle  bool             // CloseIdle was called, and no acquisition since
	keepNone   bool             // one-way: KeepNone or Shutdown was called
	closed     bool             // one-way: Shutdown was called
	drained    chan struct{}
	reaper     reaper
	tally      tally
	hijacked   uint64
	floors     map[*host[K, C]]*floor[K, C] // by their hosts
	floorDials int                          // dials under way for floors
	warming    []*floor[K, C]               // those that calls of Warm wait for
	warmups    uint64                       // calls of Warm so far, which orders them
	vacant     *wants[K, C]                 // wants that no host needs now, or nil
	todo       after[K, C]                  // what the holder of mu has decided; empty while nobody holds mu
}

// New returns an empty pool. It starts no goroutine. A program need not shut down a pool whose connections may simply
// time out.
func New[K comparable, C Conn](config Config[K, C]) *Pool[K, C] {
	p := &Pool[K, C]{
		config: config,
		epoch:  time.Now(),
		draw:   func() time.Duration { return 900 + rand.N[time.Duration](201) },
		pick:   rand.IntN,
		nobody: newWants[K, C](),
		groups: make(map[K]*group[K, C]),
		reaper: reaper{wake: forever},
		tally:  newTally(),
	}
	p.dials.init()
	p.idle.kind = inPool
	return p
}

// SetIdleLimits replaces Config.MaxIdle and Config.MaxIdlePerKey. It does not close connections that are already
// idle. The new limits apply when a connection is next given back.
func (p *Pool[K, C]) SetIdleLimits(maxIdle, maxIdlePerKey int) {
	p.mu.Lock()
	defer p.unlock()
	p.config.MaxIdle, p.config.MaxIdlePerKey = maxIdle, maxIdlePerKey
}

func (p *Pool[K, C]) now() time.Duration { return time.Since(p.epoch) }
