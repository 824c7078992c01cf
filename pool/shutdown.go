package pool

import "context"

// CloseIdle closes every idle connection. Until the next acquisition, it also makes the pool close connections that
// come from a lease or a dial, unless a want is waiting for them.
func (p *Pool[K, C]) CloseIdle() {
	p.mu.Lock()
	p.closeIdle = true
	p.endFloors(errIdleClosed)
	p.closeIdleConns(ReasonCloseIdle)
	p.unlock()
}

// KeepNone prepares the pool for a Shutdown while callers still have requests to serve. It closes idle connections
// now. From then on, the pool also closes connections that come from a lease or a dial, unless a want is waiting for
// them. Acquire still works. The reason of these closes is ReasonShutdown. KeepNone cannot be undone.
func (p *Pool[K, C]) KeepNone() {
	p.mu.Lock()
	p.keepNone = true
	p.endFloors(ErrClosed)
	p.closeIdleConns(ReasonShutdown)
	p.unlock()
}

// closeIdleConns closes all idle connections. The caller holds the lock.
func (p *Pool[K, C]) closeIdleConns(reason Reason) {
	for e := p.idle.last; e != nil; e = p.idle.last {
		p.close(e, reason)
		p.tend(e.group)
	}
}

// Shutdown ends the pool. From then on the pool leases nothing new, and Acquires that are waiting return ErrClosed.
// Shutdown closes idle connections and cancels dials. It then waits until the leases and dials under way have ended
// and their connections are closed. If ctx ends first, Shutdown returns context.Cause(ctx), and the pool closes the
// remaining connections as their leases end. Shutdown may be called more than once. It must not be called from a
// Close method or a hook, because it would wait for that call.
func (p *Pool[K, C]) Shutdown(ctx context.Context) error {
	var cancels []context.CancelCauseFunc
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		p.drained = make(chan struct{})
		p.endFloors(ErrClosed)
		for _, g := range p.groups {
			p.shut(g)
		}
		for d := p.dials.first(); d != nil; d = d.inPool.next.owner {
			cancels = append(cancels, d.cancel)
		}
	}
	p.signal()
	todo := p.decided()
	p.mu.Unlock()
	for _, cancel := range cancels {
		cancel(ErrClosed)
	}
	p.act(&todo)

	select {
	case <-p.drained:
		return nil
	default:
	}
	select {
	case <-p.drained:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// shut ends the wants of the group and of its hosts with ErrClosed, and closes the idle connections of the group.
func (p *Pool[K, C]) shut(g *group[K, C]) {
	p.sendAway(&g.own)
	for _, s := range g.joined() {
		p.sendAway(s.host)
	}
	for e := g.idle.last; e != nil; e = g.idle.last {
		p.close(e, ReasonShutdown)
	}
	p.tend(g)
}

func (p *Pool[K, C]) sendAway(h *host[K, C]) {
	for h.waiting() > 0 {
		w := h.plain.first()
		if w == nil {
			w = h.wants.own.first()
		}
		p.deliver(w, delivery[K, C]{err: ErrClosed})
	}
}

// signal wakes Shutdown if there is nothing left to wait for.
func (p *Pool[K, C]) signal() {
	if !p.closed || p.active+p.dials.len+p.closing > 0 {
		return
	}
	select {
	case <-p.drained:
	default:
		close(p.drained)
	}
}
