package peerpool

import (
	"sync"
	"sync/atomic"
	"time"
	"unique"

	"github.com/peerpool/peerpool/internal/http1"
	"github.com/peerpool/peerpool/pool"
)

// Bytes that arrive after a connection was leased cannot be told from an answer. A peer that has once sent bytes that do not
// answer any request will do so again, and the bytes may then arrive at that moment. So each of its HTTP/1.1 connections
// serves only one request until the peer has behaved for long enough: the peer is in quarantine. HTTP/2 needs no quarantine.
// Its streams have numbers, so one answer cannot be taken for another.
//
// A peer has behaved for long enough if it has sent no such bytes for quarantineTime, and if at least quarantineWatches
// connections in a row have been silent for watchTime after their answer. Time alone would show nothing, because a
// connection that is closed at once does not show what would have come. So connections are watched after their request, one
// connection of a peer at a time. A server that is out of step sends a second answer within milliseconds or not at all. Ten
// minutes are longer than it takes to replace such a server.
const (
	quarantineTime    = 10 * time.Minute
	quarantineWatches = 10
	watchTime         = time.Second

	// quarantineMemory is the time without such bytes after which a peer is forgotten in any case. maxQuarantined is how
	// many peers are remembered. If there are more, the peer that has behaved longest is forgotten.
	quarantineMemory = 24 * time.Hour
	maxQuarantined   = 1024
)

// These are the values of Quarantine.Why. They say where unexpected data was seen.
const (
	behindResponse = "behind_response"
	whileIdle      = "while_idle"
	beforeRequest  = "before_request"
)

// quarantine holds the peers of a Transport that are in quarantine.
type quarantine struct {
	count atomic.Int32 // number of peers, so that no request takes the lock without need

	mu    sync.Mutex // guards the fields below; nothing is called, and nothing is closed, while it is held
	peers map[unique.Handle[Identity]]*Quarantine
}

// holds reports whether a peer is in quarantine. If count is zero, no peer is.
func (q *quarantine) holds(id unique.Handle[Identity]) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	p := q.peers[id]
	return p != nil && time.Since(p.Last) < quarantineMemory
}

// add notes that a peer has sent unexpected data. It returns whether the quarantine of the peer begins, and which other
// peers have been forgotten.
func (q *quarantine) add(id unique.Handle[Identity], why string) (began bool, now Quarantine, forgotten []QuarantineChange) {
	q.mu.Lock()
	defer q.mu.Unlock()
	p := q.peers[id]
	if p == nil {
		forgotten = q.makeRoom()
		if q.peers == nil {
			q.peers = make(map[unique.Handle[Identity]]*Quarantine)
		}
		p = &Quarantine{Since: time.Now()}
		q.peers[id], began = p, true
		q.count.Store(int32(len(q.peers)))
	}
	p.Last, p.Why, p.Silent = time.Now(), why, 0
	p.Events++
	return began, *p, forgotten
}

// makeRoom forgets the peers whose time is over. If there is still no room for another peer, it forgets the one that has
// behaved longest.
func (q *quarantine) makeRoom() (forgotten []QuarantineChange) {
	var oldest unique.Handle[Identity]
	found := false
	for id, p := range q.peers {
		switch {
		case time.Since(p.Last) >= quarantineMemory:
			forgotten = append(forgotten, q.release(id))
		case !found || p.Last.Before(q.peers[oldest].Last):
			oldest, found = id, true
		}
	}
	if len(q.peers) >= maxQuarantined {
		forgotten = append(forgotten, q.release(oldest))
	}
	return forgotten
}

// release ends the quarantine of a peer. The caller holds mu.
func (q *quarantine) release(id unique.Handle[Identity]) QuarantineChange {
	p := q.peers[id]
	delete(q.peers, id)
	q.count.Store(int32(len(q.peers)))
	return QuarantineChange{Identity: id.Value(), Quarantine: *p, Ended: true}
}

// silent counts a connection that has been silent, and returns whether the quarantine ends with it.
func (q *quarantine) silent(id unique.Handle[Identity]) (ended QuarantineChange, ends bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	p := q.peers[id]
	if p == nil {
		return QuarantineChange{}, false
	}
	p.Silent++
	if p.Silent < quarantineWatches || time.Since(p.Last) < quarantineTime {
		return QuarantineChange{}, false
	}
	return q.release(id), true
}

// all returns the peers in quarantine.
func (q *quarantine) all() []PeerQuarantine {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := make([]PeerQuarantine, 0, len(q.peers))
	for id, p := range q.peers {
		if time.Since(p.Last) < quarantineMemory {
			all = append(all, PeerQuarantine{id.Value(), *p})
		}
	}
	return all
}

// watchEnds is called with what was found on a connection of a peer in quarantine whose socket has stayed open for watchTime.
func (c *http1Conn) watchEnds(found http1.Condition) {
	if c.found(found, whileIdle) == pool.ReasonUnexpectedData {
		return
	}
	if ended, ends := c.route.t.core.quarantine.silent(c.route.id); ends {
		c.route.t.tellQuarantined(ended)
	}
}

// misbehaved notes that the peer has sent unexpected data.
func (r *route) misbehaved(why string) {
	if r.t.DisableQuarantine {
		return
	}
	began, now, forgotten := r.t.core.quarantine.add(r.id, why)
	for _, f := range forgotten {
		r.t.tellQuarantined(f)
	}
	if began {
		r.t.tellQuarantined(QuarantineChange{Identity: r.identity(), Quarantine: now})
	}
}

func (t *Transport) tellQuarantined(q QuarantineChange) {
	if o := t.Observer; o != nil && o.QuarantineChange != nil {
		o.QuarantineChange(q)
	}
}
