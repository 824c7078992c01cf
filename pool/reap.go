package pool

import "time"

// scanGap is how long the reaper waits after a scan, for each connection that it looked at. Scans therefore take no
// more than about a thousandth of the time, however the deadlines are spread. Checkout checks deadlines exactly, so a
// connection that is closed a little late is never leased late.
const scanGap = 10 * time.Microsecond

// reaper closes idle connections at their deadlines. It is one timer, armed while an idle connection has a deadline,
// and it has no goroutine until the timer fires. Leasing the last such connection does not stop the timer, because a
// busy pool would stop and start it all the time. The timer then fires at most once and finds nothing. Pool.mu guards
// it.
type reaper struct {
	timer *time.Timer   // nil before its first use
	timed int           // idle connections that have a deadline
	wake  time.Duration // when the timer fires; forever if it is stopped
	quiet time.Duration // no scan begins before then
}

// arm makes sure that a scan begins at the given moment at the latest, or when the reaper may scan again.
func (p *Pool[K, C]) arm(at, now time.Duration) {
	if at = max(at, p.reaper.quiet); at < p.reaper.wake {
		p.wakeReaper(at, now)
	}
}

func (p *Pool[K, C]) wakeReaper(at, now time.Duration) {
	r := &p.reaper
	r.wake = at
	if r.timer == nil {
		r.timer = time.AfterFunc(at-now, p.reap)
	} else {
		r.timer.Reset(at - now)
	}
}

// disarm stops the timer. An armed timer keeps the pool alive even if nothing else refers to it.
func (p *Pool[K, C]) disarm() {
	p.reaper.wake = forever
	p.reaper.timer.Stop()
}

// reap is called by the timer, on a goroutine that ends with this call.
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
	for _, d := range spent { // after all closes, because tend may close idle connections itself
		p.tend(d.entry.group)
	}
	if next != forever {
		p.arm(next, now)
	}
	p.unlock()
}

// sweep is one scan of the reaper, and has no effects. It returns the idle connections that have reached a deadline by
// now, when the next one reaches its deadline (forever if none has one), and when the reaper may sweep again.
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
	quiet = now + time.Duration(all.len())*scanGap
	if next != forever {
		next = max(next, quiet)
	}
	return spent, next, quiet
}
