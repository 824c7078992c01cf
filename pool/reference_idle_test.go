package pool

import (
	"slices"
	"time"
)

// This file says in which order the reference takes idle connections.

// top is the idle connection of the keys that a request takes first: the oldest that was never used or, if there is none,
// the one that was released last.
func (m *reference) top(keys []string, accepts func(*refConn) bool) (top *refConn) {
	for _, c := range m.idle {
		switch {
		case !slices.Contains(keys, c.key):
		case c.uses > 0:
			top = c
		case accepts(c):
			return c
		}
	}
	return top
}

func anyConn(*refConn) bool { return true }

// bottom is the idle connection of the keys that is closed first. Of each key it is the one that a request would take
// last, and of those the one that was released longest ago.
func (m *reference) bottom(keys []string) *refConn {
	last := make(map[string]*refConn)
	for _, c := range m.idle {
		if other := last[c.key]; other == nil || other.uses == 0 {
			last[c.key] = c
		}
	}
	for _, c := range m.idle {
		if slices.Contains(keys, c.key) && last[c.key] == c {
			return c
		}
	}
	return nil
}

// instead returns the connection that a request takes if the one at the top has been idle for too long.
func (m *reference) instead(ask *refAsk, top *refConn, terms Terms) *refConn {
	if top.uses == 0 {
		c := m.top(ask.keys, func(c *refConn) bool { return m.now-c.idleSince < terms.MaxIdleTime })
		if c != nil && !m.avoids(c, terms) {
			return c
		}
	}
	return m.leastLoaded(ask)
}

// rouse makes an idle connection active.
func (m *reference) rouse(c *refConn) {
	m.idle = slices.DeleteFunc(m.idle, func(other *refConn) bool { return other == c })
	c.state = active
}

// idleReason returns the reason to close an idle connection that has been idle for too long, if the request accepts that
// limit.
func (c *refConn) idleReason(limit time.Duration) Reason {
	if c.uses == 0 && min(c.idleUntil-c.idleSince, limit) == unusedFor {
		return ReasonUnused
	}
	return ReasonIdleTimeout
}
