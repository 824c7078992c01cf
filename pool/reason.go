package pool

// Reason says why a connection was closed. It is a metric label in snake_case, and [Stats] counts closes by Reason. A
// program that adds reasons of its own should therefore add only a few. The empty Reason means that no connection was
// closed.
type Reason string

// These are the reasons that the pool itself gives. It does not give ReasonPeerClosed and ReasonUnexpectedData on its
// own: they are for the Probe method of a [Conn] to return, and are defined here so that all kinds of connections are
// counted under the same names.
const (
	ReasonIdleTimeout    Reason = "idle_timeout"    // idle longer than Terms.IdleTimeout or the peer's own limit allows
	ReasonUnused         Reason = "unused"          // idle for 4 seconds without any lease since the dial, which was for a want that did not need it
	ReasonIdleLimit      Reason = "idle_limit"      // the least recently used idle connection when Config.MaxIdle was exceeded
	ReasonKeyIdleLimit   Reason = "key_idle_limit"  // given back when its key already had Config.MaxIdlePerKey idle connections
	ReasonMaxReuse       Reason = "max_reuse"       // reused as often as Terms.MaxReuse or the peer allows
	ReasonMaxLifetime    Reason = "max_lifetime"    // older than Terms.MaxLifetime allows
	ReasonUnpooled       Reason = "unpooled"        // its lease had Terms.Unpooled set, or the connection is private
	ReasonPeerClosed     Reason = "peer_closed"     // the peer closed it
	ReasonUnexpectedData Reason = "unexpected_data" // the peer sent bytes that no request asked for
	ReasonMakeRoom       Reason = "make_room"       // closed while idle, to make room for a want that MaxConns held back and that may not use it
	ReasonSurplus        Reason = "surplus"         // dialed for a want that no longer waits, while another shared connection has room
	ReasonNoCapacity     Reason = "no_capacity"     // a Sharer whose capacity fell to zero
	ReasonLimitLowered   Reason = "limit_lowered"   // beyond a limit that SetLimits has lowered
	ReasonCloseIdle      Reason = "close_idle"      // CloseIdle was called
	ReasonShutdown       Reason = "shutdown"        // Shutdown or KeepNone was called
	ReasonUnspecified    Reason = "unspecified"     // discarded or retired with an empty Reason
)

// orUnspecified returns r, or ReasonUnspecified if r is empty, so that each close has a reason.
func (r Reason) orUnspecified() Reason {
	if r == "" {
		return ReasonUnspecified
	}
	return r
}

// Miss says why an Acquire found no idle connection to lease at once. It is a metric label in snake_case. The empty
// Miss means that the Acquire found one. If several values apply, Miss is the first of these: stale, expired, busy, cold.
type Miss string

const (
	MissCold     Miss = "cold"     // the key had no connection
	MissBusy     Miss = "busy"     // every connection of the key was in use
	MissExpired  Miss = "expired"  // an idle connection had reached a limit of its own or of the Acquire
	MissStale    Miss = "stale"    // an idle connection failed its probe
	MissFresh    Miss = "fresh"    // Terms.Fresh was set, so the pool did not look for an idle connection
	MissUnpooled Miss = "unpooled" // Terms.Unpooled was set, so the pool did not look for an idle connection
)

// finding is a Miss as a number. Of two findings, the pool reports the higher one.
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

// planted is set in a finding if an idle connection has failed its probe with ReasonUnexpectedData.
const planted finding = 1 << 7

// kind returns the finding without planted.
func (f finding) kind() finding { return f &^ planted }

func (f finding) miss() Miss { return misses[f.kind()] }

// finding returns the Miss as a number. If the Miss does not say what a search has found, finding returns hit.
func (m Miss) finding() finding {
	for f := cold; f <= stale; f++ {
		if misses[f] == m {
			return f
		}
	}
	return hit
}

// or returns r, or other if r is empty.
func (r Reason) or(other Reason) Reason {
	if r == "" {
		return other
	}
	return r
}
