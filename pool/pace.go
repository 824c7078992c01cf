package pool

import "time"

// liftAfter is how long the pool waits for a dial to end before it begins dials for all wants.
const liftAfter = 3 * time.Millisecond

// pace limits how many dials begin at once for a burst of wants: see Config.DialBurst. If no dial has ended for
// liftAfter, the limit is lifted, so that no want depends on a dial that hangs. Pool.mu guards it.
type pace struct {
	under   int           // dials under way that count
	lifted  bool          // there is no limit until nobody waits for a dial
	armed   bool          // a timer will look at the pace
	landed  time.Duration // when a dial last ended
	episode uint32        // dials of earlier episodes do not count
}

// reset begins a new episode.
func (c *pace) reset() { *c = pace{episode: c.episode + 1} }

// holdsBack reports whether a want of the host has to wait before it may dial.
func (p *Pool[K, C]) holdsBack(h *host[K, C]) bool {
	c := &h.pace
	switch {
	case p.config.DialBurst <= 0 || c.lifted || c.under < p.config.DialBurst:
		return false
	case !c.armed:
		c.armed, c.landed = true, p.now()
		p.lookAfter(h, h.wants, c.episode, liftAfter)
	}
	return true
}

// lookAfter looks at the pace after d, and lifts the limit if no dial has ended for liftAfter. The goroutine of its
// timer ends with that.
func (p *Pool[K, C]) lookAfter(h *host[K, C], ws *wants[K, C], episode uint32, d time.Duration) {
	time.AfterFunc(d, func() {
		p.mu.Lock()
		defer p.unlock()
		c := &ws.pace
		if h.wants != ws || c.episode != episode || c.lifted {
			return
		}
		if wait := c.landed + liftAfter - p.now(); wait > 0 {
			p.lookAfter(h, ws, episode, wait)
			return
		}
		c.lifted = true
		p.tendHost(h)
	})
}

// countPace counts a dial that begins for a want.
func (d *dial[K, C]) countPace(p *Pool[K, C]) {
	if p.config.DialBurst > 0 {
		c := &d.host.pace
		d.paced, d.episode = c, c.episode
		c.under++
	}
}

// landPace stops counting the dial.
func (d *dial[K, C]) landPace(now time.Duration) {
	if c := d.paced; c != nil && c.episode == d.episode {
		c.under--
		c.landed = now
	}
}
