package pool

import "time"

// scanGap is how long the reaper leaves the idle lists alone after a scan, for each connection that it looked
// at: however the deadlines are spread, scans take no more than about a thousandth of the time. Checkout looks
// at deadlines exactly, so a connection that is closed a little late is never leased late.
const scanGap = 10 * time.Microsecond

// reaper closes idle connections at their deadlines. It is one timer, armed while idle connections with a
// deadline exist, and no goroutine until it fires. Leasing the last of them leaves it armed, as a busy pool
// would stop and start it all the time: it fires once at most and finds nothing. Guarded by Pool.mu.
type reaper struct {
	timer *time.Timer   // nil before the first use
	timed int           // idle connections that have a deadline
	wake  time.Duration // when the timer fires; forever: it is stopped
	quiet time.Duration // no scan before then
}

// arm makes sure that a scan comes at that moment at the latest, or when the reaper is next allowed one.
func (p *Pool[K, C]) arm(at, now time.Duration) {
	if at = max(at, p.reaper.quiet); at < p.reaper.wake {
		p.wakeReaper(at, now)
	}
}

// wakeReaper sets the timer.
func (p *Pool[K, C]) wakeReaper(at, now time.Duration) {
	r := &p.reaper
	r.wake = at
	if r.timer == nil {
		r.timer = time.AfterFunc(at-now, p.reap)
	} else {
		r.timer.Reset(at - now)
	}
}

// disarm stops the timer, and with it all that keeps a pool alive that nobody else refers to.
func (p *Pool[K, C]) disarm() {
	p.reaper.wake = forever
	p.reaper.timer.Stop()
}

// reap is what the timer calls, on a goroutine that ends with this call.
func (p *Pool[K, C]) reap() {
	now := p.now()
	p.mu.Lock()
	p.reaper.wake = forever
	p.replaceIdle(now)
	spent, next, quiet := sweep(&p.idle, now)
	p.reaper.quiet = quiet
	for _, d := range spent {
		p.close(d.entry, d.reason)
	}
	for _, d := range spent { // not before all are closed: this may close idle ones itself
		p.tend(d.entry.group)
	}
	if next != forever {
		p.arm(next, now)
	}
	p.unlock()
}

// sweep is one step of the reaper, and nothing but arithmetic: which idle connections have reached a deadline
// by now, when the next one does (forever: none has one), and until when not to sweep again.
func sweep[K comparable, C Conn](all *chain[K, C], now time.Duration) (
	spent []doomed[K, C], next, quiet time.Duration,
) {
	next = forever
	for e := all.last; e != nil; e = e.in[inPool].prev {
		if reason := e.spent(&anyTerms, now); reason != "" {
			spent = append(spent, doomed[K, C]{entry: e, reason: reason})
		} else {
			next = min(next, e.wake(now))
		}
	}
	quiet = now + time.Duration(all.len)*scanGap
	if next != forever {
		next = max(next, quiet)
	}
	return spent, next, quiet
}
