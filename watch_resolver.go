package peerpool

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peerpool/peerpool/internal/ascii"
	"github.com/peerpool/peerpool/internal/resolve"
)

// WatchResolver is a [Resolver] that reports changes by itself, for example one of a service registry. If Transport.Resolver
// is a WatchResolver, the Transport calls Watch instead of LookupNetIP. DNSRefresh then says only for how long the Transport
// keeps the connections to an address that is no longer listed.
type WatchResolver interface {
	Resolver

	// Watch calls update with all addresses of a host: once as soon as they are known, and again each time they have
	// changed. An address with the port 0 has the port of the URL. Update may keep the slice. An update without
	// addresses changes nothing, and an address that is not valid is ignored. Watch returns when ctx is done. If it
	// cannot go on, it returns an error.
	//
	// After an error, the last addresses stay in use, and the Transport calls Watch again after a pause: of one second
	// at first, and of twice as long after each further error, up to a minute. If there are no addresses yet, the
	// requests that wait for them fail with the error, and the next request makes the Transport call Watch again. After
	// a second error without addresses, the Transport first pauses for one second, and for twice as long after each
	// further error, up to five seconds. Requests during that pause fail with the last error.
	//
	// The Transport calls Watch on a goroutine of its own, once for each host at a time. Ctx is done after Shutdown, and
	// when no request has needed the host for a minute. The next request then calls Watch again, and waits for its first
	// update.
	Watch(ctx context.Context, host string, update func([]netip.AddrPort)) error
}

const (
	// watchQuiet is how long a host is watched while no request needs it.
	watchQuiet = time.Minute

	// If Watch fails, it is called again after firstWatchPause. Each further failure doubles the pause, up to
	// longestWatchPause, or to longestBlindPause while there are no addresses and each request of the host fails.
	firstWatchPause   = time.Second
	longestWatchPause = time.Minute
	longestBlindPause = 5 * time.Second
)

// watches holds the hosts that a WatchResolver watches.
type watches struct {
	mu     sync.Mutex // guards the fields below, and those of the hostWatches; no resolver and no hook is called while it is held
	byHost map[string]*hostWatch
	count  uint64 // number of updates so far
	shut   bool
}

// hostWatch is the watch of one host: one call of Watch, or several that follow one another.
type hostWatch struct {
	host   string
	ctx    context.Context // ends with the watch
	cancel context.CancelFunc

	known   chan struct{} // closed when there are addresses, or the call has failed; made anew when Watch is called again
	addrs   []netip.AddrPort
	version uint64
	needed  time.Time

	// If Watch has failed while there are no addresses, it is not under way. The first request after retry calls it again.
	ended bool
	err   error
	retry time.Time
	pause time.Duration // the next pause after a failure
}

// watched returns the addresses of a host that a WatchResolver has reported. From now on, the host is watched.
func (p *plan) watched(ctx context.Context, r WatchResolver, host string, port uint16) (listing, error) {
	w, known, err := p.t.watch(r, host)
	if err != nil {
		return listing{}, err
	}
	waited := false
	select {
	case <-known:
	default:
		waited = true
		late := time.NewTimer(resolve.LookupTimeout)
		defer late.Stop()
		select {
		case <-known:
		case <-ctx.Done():
			return listing{}, context.Cause(ctx)
		case <-late.C:
			return listing{}, resolve.TimedOut(host)
		}
	}
	found, err := p.told(w, port)
	found.waited = waited
	return found, err
}

// told returns the addresses that a watch knows.
func (p *plan) told(w *hostWatch, port uint16) (listing, error) {
	ws := &p.t.core.watches
	ws.mu.Lock()
	defer ws.mu.Unlock()
	found := listing{version: w.version, watched: true}
	if found.addrs = p.usable(w.addrs, port); len(found.addrs) == 0 {
		if w.err != nil {
			return listing{}, w.err
		}
		return listing{}, &net.DNSError{Err: "no such host", Name: w.host, IsNotFound: true}
	}
	found.lookAgain = int64(time.Since(epoch) + lookInterval)
	return found, nil
}

// usable returns the addresses to which the Transport can connect, without duplicates and each with a port.
func (p *plan) usable(addrs []netip.AddrPort, port uint16) (usable []netip.AddrPort) {
	only := family(p.t.local(p.peer).Addr())
	for _, addr := range addrs {
		addr = netip.AddrPortFrom(addr.Addr().Unmap(), cmp.Or(addr.Port(), port))
		fits := only == "ip" || (only == "ip4") == addr.Addr().Is4()
		if addr.Addr().IsValid() && fits && !slices.Contains(usable, addr) {
			usable = append(usable, addr)
		}
	}
	return usable
}

// watch returns the watch of a host, and what to wait for until there are addresses. It starts a watch if there is none.
func (t *Transport) watch(r WatchResolver, host string) (*hostWatch, <-chan struct{}, error) {
	ws := &t.core.watches
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.shut {
		return nil, nil, ErrClosed
	}
	host = ascii.ToLower(host)
	w := ws.byHost[host]
	if w == nil {
		ctx, cancel := context.WithCancel(context.Background())
		w = &hostWatch{host: host, ctx: ctx, cancel: cancel, known: make(chan struct{})}
		if ws.byHost == nil {
			ws.byHost = make(map[string]*hostWatch)
		}
		ws.byHost[host] = w
		go t.keepWatching(r, w)
		time.AfterFunc(watchQuiet, func() { ws.endQuiet(w) })
	}
	w.needed = time.Now()
	if w.ended && !w.needed.Before(w.retry) {
		w.ended = false
		if w.addrs == nil {
			w.err, w.known = nil, make(chan struct{})
		}
		go t.keepWatching(r, w)
	}
	return w, w.known, nil
}

// keepWatching calls Watch until the watch ends, or until Watch fails while there are no addresses. It runs on a goroutine of
// the watch.
func (t *Transport) keepWatching(r WatchResolver, w *hostWatch) {
	ctx := w.ctx
	for pause := firstWatchPause; ; pause = min(2*pause, longestWatchPause) {
		start := time.Now()
		var told atomic.Bool
		err := callWatch(ctx, r, w.host, func(addrs []netip.AddrPort) {
			told.Store(true)
			t.listed(ctx, w, addrs)
		})
		if ctx.Err() != nil {
			return
		}
		if told.Load() {
			pause = firstWatchPause
		}
		t.core.counters.lookups.Add(1)
		t.core.counters.lookupFailures.Add(1)
		if err == nil {
			err = fmt.Errorf("peerpool: Watch of %s has returned", w.host)
		}
		blind := t.core.watches.fail(w, err)
		if o := t.Observer; o != nil && o.ResolveDone != nil {
			o.ResolveDone(ctx, ResolveDone{Host: w.host, Start: start, Duration: time.Since(start), Err: err, ErrorType: lookupErrorType(err)})
		}
		if blind {
			return
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// callWatch calls Watch, on a goroutine that ends with Watch. If Watch panics, or ends the goroutine, callWatch returns an
// error.
func callWatch(ctx context.Context, r WatchResolver, host string, update func([]netip.AddrPort)) error {
	ended := make(chan error)
	go func() {
		err := fmt.Errorf("peerpool: Watch of %s has ended its goroutine", host)
		defer func() {
			if v := recover(); v != nil {
				err = fmt.Errorf("peerpool: Watch of %s panicked: %v", host, v)
			}
			ended <- err
		}()
		err = r.Watch(ctx, host, update)
	}()
	return <-ended
}

// listed notes the addresses that a WatchResolver has reported, and updates the hosts that have them.
func (t *Transport) listed(ctx context.Context, w *hostWatch, addrs []netip.AddrPort) {
	ws := &t.core.watches
	ws.mu.Lock()
	addrs = slices.DeleteFunc(slices.Clone(addrs), func(addr netip.AddrPort) bool { return !addr.Addr().IsValid() })
	if ctx.Err() != nil || len(addrs) == 0 || slices.Equal(addrs, w.addrs) {
		ws.mu.Unlock()
		return
	}
	ws.count++
	w.addrs, w.version, w.err = addrs, ws.count, nil
	w.open()
	ws.mu.Unlock()
	t.core.counters.lookups.Add(1)
	if o := t.Observer; o != nil && o.ResolveDone != nil {
		done := ResolveDone{Host: w.host, Start: time.Now()}
		for _, addr := range addrs {
			done.Addrs = append(done.Addrs, addr.Addr())
		}
		o.ResolveDone(ctx, done)
	}
	for _, h := range t.core.routes.hosts() {
		name, service, _ := net.SplitHostPort(h.head.authority)
		if ascii.ToLower(name) != w.host {
			continue
		}
		port, err := net.DefaultResolver.LookupPort(ctx, "tcp", service)
		if err != nil {
			continue
		}
		if found, err := h.head.told(w, uint16(port)); err == nil { // told does not count as a request
			h.update(found)
		}
	}
}

// open wakes the requests that wait for the addresses. The caller holds mu.
func (w *hostWatch) open() {
	select {
	case <-w.known:
	default:
		close(w.known)
	}
}

// fail notes that Watch has returned. If there are no addresses, the waiting requests get the error, and fail returns true: a
// later request calls Watch again.
func (ws *watches) fail(w *hostWatch, err error) (blind bool) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if w.addrs != nil {
		return false
	}
	w.ended, w.err = true, err
	w.retry = time.Now().Add(w.pause)
	w.pause = min(max(2*w.pause, firstWatchPause), longestBlindPause)
	w.open()
	return true
}

// endQuiet ends a watch that no request has needed for a while.
func (ws *watches) endQuiet(w *hostWatch) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if left := watchQuiet - time.Since(w.needed); left > 0 && ws.byHost[w.host] == w {
		time.AfterFunc(left, func() { ws.endQuiet(w) })
		return
	}
	ws.end(w)
}

// end ends a watch. The caller holds mu.
func (ws *watches) end(w *hostWatch) {
	if ws.byHost[w.host] == w {
		delete(ws.byHost, w.host)
	}
	w.cancel()
}

// shutdown ends all watches. Requests that wait for a first update get an error.
func (ws *watches) shutdown() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.shut = true
	for _, w := range ws.byHost {
		if w.addrs == nil {
			w.err = ErrClosed
		}
		w.open()
		ws.end(w)
	}
}
