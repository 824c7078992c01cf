package peerpool

import (
	"sync/atomic"

	"github.com/peerpool/peerpool/pool"
)

// Stats is a snapshot of a Transport's pool and of what it has done since it was made. The maps belong to
// the caller.
//
// Opened == Idle + Active + Hijacked + the sum of Closes, at every moment.
type Stats struct {
	Idle    int // connections that wait for a request
	Active  int // connections that serve one
	Dialing int // dials under way
	Waiting int // requests that wait for a connection

	Opened       uint64 // connections
	Hijacked     uint64 // connections that an upgrade handed over to its caller
	Hits         uint64 // attempts that found an idle connection
	Misses       map[MissReason]uint64
	Dials        uint64
	DialFailures uint64
	Closes       map[CloseReason]uint64
	Retries      Retries

	// UnexpectedData counts connections closed because the peer sent bytes that answer no request: a
	// broken or a hostile peer.
	UnexpectedData uint64

	// Quarantined holds the peers in quarantine, whether or not they have a connection.
	Quarantined map[Identity]Quarantine

	// Peers holds the share of every identity that has a connection, a dial or a waiting request.
	Peers map[Identity]PeerStats
}

// PeerStats is the share that one identity has in [Stats], since it was last unknown.
type PeerStats struct {
	Idle, Active, Dialing, Waiting int
	Hits, Misses                   uint64
	Dials, DialFailures            uint64
}

// Retries counts requests that were sent again.
type Retries struct {
	Stale       uint64 // a reused connection was gone
	Unsent      uint64 // nothing had been written
	Misdirected uint64 // 421
	Refused     uint64 // an HTTP/2 server said that it did not process it
	Lost        uint64 // an HTTP/2 connection did not answer a ping
	HTTP1       uint64 // an HTTP/2 server wanted HTTP/1.1
	Saved       uint64 // retried requests that got their response in the end
	Failed      uint64 // retried requests that did not
}

// ByReason returns the requests that were sent again by the reasons of [RetryReasons], each of which is there. The map
// belongs to the caller.
func (r Retries) ByReason() map[string]uint64 {
	return map[string]uint64{
		string(retryStale): r.Stale, string(retryUnsent): r.Unsent, string(retryMisdirected): r.Misdirected,
		string(retryRefused): r.Refused, string(retryLost): r.Lost, string(retryHTTP1): r.HTTP1,
	}
}

// counters are what the pool does not count. They are only ever added to.
type counters struct {
	stale, unsent, misdirected, refused, lost, http1, saved, failed atomic.Uint64
}

func (c *counters) retried(v verdict) {
	switch v {
	case retryStale:
		c.stale.Add(1)
	case retryUnsent:
		c.unsent.Add(1)
	case retryMisdirected:
		c.misdirected.Add(1)
	case retryRefused:
		c.refused.Add(1)
	case retryLost:
		c.lost.Add(1)
	case retryHTTP1:
		c.http1.Add(1)
	}
}

// Stats returns a snapshot. The gauges and the pool's counters are taken at one moment.
func (t *Transport) Stats() Stats {
	s := t.runtime().pool.Stats()
	c := &t.runtime().counters
	stats := Stats{
		Idle: s.Idle, Active: s.Active, Dialing: s.Dialing, Waiting: s.Waiting,
		Opened: s.Opened, Hijacked: s.Hijacked, Hits: s.Hits, Misses: s.Misses,
		Dials: s.Dials, DialFailures: s.DialFailures, Closes: s.Closes,
		Retries: Retries{
			Stale: c.stale.Load(), Unsent: c.unsent.Load(), Misdirected: c.misdirected.Load(),
			Refused: c.refused.Load(), Lost: c.lost.Load(), HTTP1: c.http1.Load(),
			Saved: c.saved.Load(), Failed: c.failed.Load(),
		},
		UnexpectedData: s.Closes[pool.ReasonUnexpectedData],
		Quarantined:    t.core.quarantine.all(),
		Peers:          make(map[Identity]PeerStats, len(s.Keys)),
	}
	for key, k := range s.Keys {
		stats.Peers[key.Value()] = PeerStats{
			Idle: k.Idle, Active: k.Active, Dialing: k.Dialing, Waiting: k.Waiting,
			Hits: k.Hits, Dials: k.Dials, DialFailures: k.DialFailures, Misses: k.Misses,
		}
	}
	return stats
}
