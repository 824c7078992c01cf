package pool

import "time"

// liftAfter is after how long without the end of a dial the pool begins dials for all that wait.
const liftAfter = 3 * time.Millisecond

// pace bounds the dials that a burst of wants begins at once: see Config.DialBurst. Nobody depends on a dial that hangs, as
// the bound is lifted when none has ended for liftAfter. Guarded by Pool.mu.
type pace struct {
	under   int           // dials under way that count
	lifted  bool          // there is no bound until nobody waits for a dial
	armed   bool          // a timer is to look at it
	landed  time.Duration // when a dial has last ended
	episode uint32        // dials of earlier ones do not count
}

// reset begins another episode.
func (c *pace) reset() { *c = pace{episode: c.episode + 1} }

// holdsBack says that a want of the host has to wait before it may dial.
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

// lookAfter has the pace looked at. The timer's goroutine ends with that.
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

// landPace counts it no more.
func (d *dial[K, C]) landPace(now time.Duration) {
	if c := d.paced; c != nil && c.episode == d.episode {
		c.under--
		c.landed = now
	}
}
