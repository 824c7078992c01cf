package pool

// Reason says why a connection was closed. It is a label value in snake_case, counted by value in [Stats], so a
// program that adds its own reasons keeps them few. The empty Reason means that nothing was closed.
type Reason string

// The reasons that the pool gives itself. ReasonPeerClosed and ReasonUnexpectedData are for a [Conn] to return
// from Probe: they stand here so that every kind of connection counts them under the same name.
const (
	ReasonIdleTimeout    Reason = "idle_timeout"    // idle for too long: Terms.IdleTimeout, or the peer's own limit
	ReasonIdleLimit      Reason = "idle_limit"      // the least recently used idle one, beyond Config.MaxIdle
	ReasonKeyIdleLimit   Reason = "key_idle_limit"  // came back to Config.MaxIdlePerKey idle ones of its key
	ReasonMaxReuse       Reason = "max_reuse"       // reused as often as it may be
	ReasonMaxLifetime    Reason = "max_lifetime"    // as old as it may get
	ReasonUnpooled       Reason = "unpooled"        // its lease asked for Terms.Unpooled
	ReasonPeerClosed     Reason = "peer_closed"     // the peer closed it
	ReasonUnexpectedData Reason = "unexpected_data" // the peer sent bytes that nobody asked for
	ReasonMakeRoom       Reason = "make_room"       // idle, and in the way of a want that MaxConns held back and that may not use it
	ReasonSurplus        Reason = "surplus"         // dialed for nobody who still waits, with room left on another one that is shared
	ReasonNoCapacity     Reason = "no_capacity"     // a Sharer whose capacity fell to zero
	ReasonCloseIdle      Reason = "close_idle"      // CloseIdle
	ReasonShutdown       Reason = "shutdown"        // Shutdown, KeepNone
	ReasonUnspecified    Reason = "unspecified"     // discarded or retired with an empty Reason
)

// orUnspecified makes sure that a close has a reason.
func (r Reason) orUnspecified() Reason {
	if r == "" {
		return ReasonUnspecified
	}
	return r
}

// Miss says why an Acquire found no idle connection to take at once. It is a label value in snake_case; the
// empty Miss is a hit. Where several would do the most telling one is given: stale, then expired, then busy,
// then cold.
type Miss string

const (
	MissCold     Miss = "cold"     // there was no connection of the key
	MissBusy     Miss = "busy"     // every connection of the key was in use
	MissExpired  Miss = "expired"  // an idle one had reached a limit of its own or of the asker
	MissStale    Miss = "stale"    // an idle one failed its probe
	MissFresh    Miss = "fresh"    // Terms.Fresh: none was looked for
	MissUnpooled Miss = "unpooled" // Terms.Unpooled: none was looked for
)

// finding is a Miss as a number: of two findings the higher is the more telling.
type finding uint8

const (
	hit finding = iota
	cold
	busy
	expired
	stale
	fresh
	unpooled
)

var misses = [...]Miss{
	cold: MissCold, busy: MissBusy, expired: MissExpired, stale: MissStale, fresh: MissFresh, unpooled: MissUnpooled,
}

func (f finding) miss() Miss { return misses[f] }

// finding is hit for a Miss that says nothing of what was looked for and found.
func (m Miss) finding() finding {
	for f := cold; f <= stale; f++ {
		if misses[f] == m {
			return f
		}
	}
	return hit
}

// or returns the reason, or another where there is none.
func (r Reason) or(other Reason) Reason {
	if r == "" {
		return other
	}
	return r
}
