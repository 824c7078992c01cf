package peerpool

import (
	"sync"
	"sync/atomic"
	"time"
	"unique"

	"github.com/peerpool/peerpool/pool"
)

// Bytes that arrive after a connection has been checked out cannot be told from an answer. A peer that has sent bytes that
// nobody asked for, once, will do so again, and then they may arrive in that moment. So its HTTP/1.1 connections serve one
// request each until it has behaved for long enough: it is in quarantine. Streams of HTTP/2 have numbers, so an answer
// cannot be taken for another one there.
//
// Behaved means: nothing that nobody asked for has come for quarantineTime, and at least quarantineWatches connections in a
// row have stayed silent for watchTime behind their answer. Time alone would show nothing, as a connection that is closed
// at once tells nothing of what would have come; so after their request connections are watched, one of a peer at a time.
// A second answer is sent by a server that is out of step, which it is in milliseconds or not at all; ten minutes
// are longer than it takes to replace such a server.
const (
	quarantineTime    = 10 * time.Minute
	quarantineWatches = 10
	watchTime         = time.Second

	// quarantineMemory is after how long without such bytes a peer is forgotten in any case, and maxQuarantined how many
	// peers are remembered; of more, the one that has behaved for longest is forgotten.
	quarantineMemory = 24 * time.Hour
	maxQuarantined   = 1024
)

// These say where unexpected data was seen, see Quarantine.Why.
const (
	behindResponse = "behind_response"
	whileIdle      = "while_idle"
	beforeRequest  = "before_request"
)

// Quarantine describes a peer whose HTTP/1.1 connections serve only one request each, because the peer has sent bytes
// that do not answer any request. The quarantine ends when the peer has sent no such bytes for 10 minutes and at
// least 10 of its connections in a row have been silent for one second after their response. A peer to which no
// requests are made is forgotten after 24 hours.
type Quarantine struct {
	Since  time.Time // when the quarantine began
	Last   time.Time // when the peer last sent such bytes
	Why    string    // where the bytes were seen that time: "behind_response", "while_idle" or "before_request"
	Events uint64    // how many times the peer has sent such bytes
	Silent int       // connections that have been silent in a row since Last
}

// quarantine holds the peers of a Transport that are in it.
type quarantine struct {
	count atomic.Int32 // of peers, so that nobody takes the lock for nothing

	mu    sync.Mutex // guards what follows; nothing is called and nothing closed under it
	peers map[unique.Handle[Identity]]*confined
}

// confined is a peer in quarantine.
type confined struct {
	Quarantine
	watched *watchedConn // nil: none
}

// watchedConn is a connection that has served its request, and that the pool has closed.
type watchedConn struct {
	conn  *http1Conn
	timer *time.Timer
}

// holds says whether a peer is in quarantine. If count is zero, none is.
func (q *quarantine) holds(id unique.Handle[Identity]) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	p := q.peers[id]
	return p != nil && time.Since(p.Last) < quarantineMemory
}

// add notes that a peer has sent unexpected data. It returns whether the quarantine begins with that, and what of others
// has been forgotten.
func (q *quarantine) add(id unique.Handle[Identity], why string) (began bool, now Quarantine, forgotten []QuarantineChange) {
	q.mu.Lock()
	defer q.mu.Unlock()
	p := q.peers[id]
	if p == nil {
		forgotten = q.makeRoom()
		if q.peers == nil {
			q.peers = make(map[unique.Handle[Identity]]*confined)
		}
		p = &confined{Quarantine: Quarantine{Since: time.Now()}}
		q.peers[id], began = p, true
		q.count.Store(int32(len(q.peers)))
	}
	p.Last, p.Why, p.Silent = time.Now(), why, 0
	p.Events++
	return began, p.Quarantine, forgotten
}

// makeRoom forgets whoever has behaved for longest, if there is no room for another one, and all that are to be forgotten.
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

// release ends the quarantine of a peer. It is called with mu held.
func (q *quarantine) release(id unique.Handle[Identity]) QuarantineChange {
	p := q.peers[id]
	delete(q.peers, id)
	q.count.Store(int32(len(q.peers)))
	return QuarantineChange{Identity: id.Value(), Quarantine: p.Quarantine, Ended: true}
}

// watch begins to watch a connection that has served its request, unless another one of the peer is watched.
func (q *quarantine) watch(c *http1Conn) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	p := q.peers[c.route.id]
	if p == nil || p.watched != nil {
		return false
	}
	w := &watchedConn{conn: c}
	p.watched = w
	w.timer = time.AfterFunc(watchTime, func() { c.route.t.watchEnds(w) })
	return true
}

// unwatch says that a connection is watched no longer, once.
func (q *quarantine) unwatch(w *watchedConn) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	p := q.peers[w.conn.route.id]
	if p == nil || p.watched != w {
		return false
	}
	p.watched = nil
	return true
}

// silent counts a connection that has been silent, and returns whether that ends the quarantine.
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

// stop closes all connections that are watched.
func (q *quarantine) stop() {
	var all []*watchedConn
	q.mu.Lock()
	for _, p := range q.peers {
		if p.watched != nil {
			all = append(all, p.watched)
			p.watched = nil
		}
	}
	q.mu.Unlock()
	for _, w := range all {
		if w.timer.Stop() {
			w.conn.Conn.Close()
		}
	}
}

// all returns the peers in quarantine.
func (q *quarantine) all() []PeerQuarantine {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := make([]PeerQuarantine, 0, len(q.peers))
	for id, p := range q.peers {
		if time.Since(p.Last) < quarantineMemory {
			all = append(all, PeerQuarantine{id.Value(), p.Quarantine})
		}
	}
	return all
}

// watchEnds looks whether a watched connection has been silent, and closes it.
func (t *Transport) watchEnds(w *watchedConn) {
	c, q := w.conn, &t.core.quarantine
	if q.unwatch(w) {
		if c.found(c.Conn.Probe(), whileIdle) != pool.ReasonUnexpectedData {
			if ended, ends := q.silent(c.route.id); ends {
				t.tellQuarantined(ended)
			}
		}
	}
	c.Conn.Close()
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
		r.t.tellQuarantined(QuarantineChange{Identity: r.identity, Quarantine: now})
	}
}

func (t *Transport) tellQuarantined(q QuarantineChange) {
	if o := t.Observer; o != nil && o.QuarantineChange != nil {
		o.QuarantineChange(q)
	}
}
