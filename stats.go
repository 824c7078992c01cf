package peerpool

import (
	"sync/atomic"

	"github.com/peerpool/peerpool/pool"
)

// Stats is a snapshot of a Transport's pool and of what the Transport has done since it was made. The caller owns the
// maps and slices.
//
// At every moment, Opened equals the sum of Idle, Active, Hijacked and all values of Closes.
//
// Stats can be encoded as JSON. An [Identity] is then the text of its String method.
type Stats struct {
	Idle    int // idle connections
	Active  int // connections that serve a request
	Dialing int // dials under way
	Waiting int // requests that wait for a connection

	Opened       uint64                 // connections that were opened
	Hijacked     uint64                 // connections that an upgrade handed over to its caller
	Hits         uint64                 // attempts that found an idle connection
	Misses       map[MissReason]uint64  // attempts that found none, by reason
	Dials        uint64                 // dials that were begun
	DialFailures uint64                 // dials that failed
	Replacements uint64                 // dials that were begun to replace a connection before it reaches a limit
	Closes       map[CloseReason]uint64 // connections that were closed, by reason
	Retries      Retries

	// Lookups counts the look-ups of hosts, and LookupFailures those that failed. ConnectFailures counts the connects that
	// failed to one of several addresses of a host, also if the dial then succeeded with another address. Ejections
	// counts how many times an address was left out.
	Lookups, LookupFailures    uint64
	ConnectFailures, Ejections uint64

	// Timeouts counts the requests that a time limit has ended, by limit. It has an entry for every limit in [TimeLimits].
	Timeouts map[TimeLimit]uint64

	// Hosts describes the hosts with several addresses: see Transport.Hosts.
	Hosts []HostStats

	// UnexpectedData counts the connections that were closed because the peer sent bytes that do not answer any
	// request. Such a peer is broken or hostile.
	UnexpectedData uint64

	// Quarantined holds the peers that are in quarantine, including those without a connection, in no particular order.
	Quarantined []PeerQuarantine

	// Learned holds the limits that the Transport has learned of its peers, including peers without a connection, in no
	// particular order. Peers without a learned limit are not in it.
	Learned []PeerLimits

	// Peers holds the statistics of every identity that has a connection, a dial or a waiting request. Each identity
	// occurs once. Peers is in no particular order.
	Peers []PeerStats
}

// Peer returns the statistics of one identity. They are zero if the pool does not know the identity.
func (s Stats) Peer(id Identity) PeerStats {
	for _, p := range s.Peers {
		if p.Identity == id {
			return p
		}
	}
	return PeerStats{Identity: id}
}

// PeerStats holds the part of [Stats] that concerns one identity. The counters start when the pool begins to know the
// identity. The pool forgets an identity when it has no connection, no dial and no waiting request.
type PeerStats struct {
	Identity                       Identity
	Idle, Active, Dialing, Waiting int
	Hits, Misses                   uint64
	Dials, DialFailures            uint64
}

// PeerQuarantine is the part of [Stats] that concerns one peer in quarantine.
type PeerQuarantine struct {
	Identity Identity
	Quarantine
}

// Retries counts the requests that were sent again, by reason.
type Retries struct {
	Stale       uint64 // a reused connection turned out to be dead
	Unsent      uint64 // nothing of the request had been written
	Misdirected uint64 // the server answered 421 Misdirected Request
	Refused     uint64 // an HTTP/2 server said that it did not process the request
	Lost        uint64 // an HTTP/2 connection did not answer a ping
	HTTP1       uint64 // an HTTP/2 server asked for HTTP/1.1
	Address     uint64 // one of several addresses failed, and the request was sent to another one
	OverBudget  uint64 // requests that failed instead of being sent again, because of Transport.RetryBudget
	Saved       uint64 // requests that were sent again and got a response in the end
	Failed      uint64 // requests that were sent again and got no response
}

// ByReason returns the number of requests that were sent again for each reason. The map has an entry for every reason
// in [RetryReasons]. The caller owns the map.
func (r Retries) ByReason() map[RetryReason]uint64 {
	return map[RetryReason]uint64{
		RetryReason(retryStale): r.Stale, RetryReason(retryUnsent): r.Unsent, RetryReason(retryMisdirected): r.Misdirected,
		RetryReason(retryRefused): r.Refused, RetryReason(retryLost): r.Lost, RetryReason(retryHTTP1): r.HTTP1,
		RetryReason(retryAddress): r.Address,
	}
}

// counters holds the counts that the pool does not keep. They only grow.
type counters struct {
	stale, unsent, misdirected, refused, lost, http1, address, saved, failed, overBudget atomic.Uint64
	lookups, lookupFailures, connectFailures, ejections                                  atomic.Uint64
	timeouts                                                                             timeouts
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
	case retryAddress:
		c.address.Add(1)
	}
}

// Stats returns a snapshot of the pool. The gauges and the pool's counters in it are from the same moment.
func (t *Transport) Stats() Stats {
	s := t.use().pool.Stats()
	c := &t.use().counters
	stats := Stats{
		Idle: s.Idle, Active: s.Active, Dialing: s.Dialing, Waiting: s.Waiting,
		Opened: s.Opened, Hijacked: s.Hijacked, Hits: s.Hits, Misses: s.Misses,
		Dials: s.Dials, DialFailures: s.DialFailures, Replacements: s.Replacements, Closes: s.Closes,
		Retries: Retries{
			Stale: c.stale.Load(), Unsent: c.unsent.Load(), Misdirected: c.misdirected.Load(),
			Refused: c.refused.Load(), Lost: c.lost.Load(), HTTP1: c.http1.Load(), Address: c.address.Load(),
			Saved: c.saved.Load(), Failed: c.failed.Load(), OverBudget: c.overBudget.Load(),
		},
		Lookups: c.lookups.Load(), LookupFailures: c.lookupFailures.Load(),
		ConnectFailures: c.connectFailures.Load(), Ejections: c.ejections.Load(),
		Timeouts:       c.timeouts.byLimit(),
		Hosts:          t.Hosts(),
		UnexpectedData: s.Closes[pool.ReasonUnexpectedData],
		Quarantined:    t.core.quarantine.all(),
		Learned:        t.core.memory.limits(),
		Peers:          make([]PeerStats, 0, len(s.Keys)),
	}
	for key, k := range s.Keys {
		stats.Peers = append(stats.Peers, PeerStats{
			Identity: key.Value(), Idle: k.Idle, Active: k.Active, Dialing: k.Dialing, Waiting: k.Waiting,
			Hits: k.Hits, Dials: k.Dials, DialFailures: k.DialFailures, Misses: k.Misses,
		})
	}
	return stats
}
