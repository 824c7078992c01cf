package pool

// Rester is implemented by a Conn whose Probe is dear. Between two leases that meet in the idle list one Probe is
// enough, and the one that counts is the later.
type Rester interface {
	// Rest is called at release in place of Probe, and on the same conditions. It says whether the connection can
	// become idle, "" or the reason why not, and may leave the rest to Probe: that is called before the connection
	// is leased again, also where it goes to a waiting Acquire and is never idle.
	Rest() Reason
}

// restOrProbe looks at a connection that a lease gives back. owed says that a Probe must follow before the next lease.
func (e *entry[K, C]) restOrProbe() (reason Reason, owed bool) {
	if rester, ok := any(e.conn).(Rester); ok && !e.shared() {
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
