package pool

// Rester is implemented by a Conn whose Probe is expensive. The pool then calls Probe only once between two leases,
// before the second of them. At release, it calls Rest instead.
type Rester interface {
	// Rest returns "" if the connection can become idle, or the reason why it cannot. The pool calls Rest at release
	// in place of Probe, under the same conditions. Rest may leave part of the checks to Probe: the pool calls Probe
	// before the connection is leased again, even if the connection goes to a waiting Acquire and is never idle.
	Rest() Reason
}

// restOrProbe looks at a connection that a lease gives back. owed says that a Probe must follow before the next lease.
func (e *entry[K, C]) restOrProbe() (reason Reason, owed bool) {
	if rester, ok := any(e.conn).(Rester); ok && e.sharing == nil {
		return rester.Rest(), true
	}
	return e.conn.Probe(), false
}

// probeOwed makes up for the Probe that a rest has left out, if a want is about to get the connection. It is called
// with the lock held, and lets go of it meanwhile.
func (p *Pool[K, C]) probeOwed(e *entry[K, C]) Reason {
	if e.retired != nil || e.group.heir(e) == nil {
		return ""
	}
	p.mu.Unlock()
	defer p.mu.Lock()
	return e.conn.Probe()
}
