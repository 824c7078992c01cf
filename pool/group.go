package pool

import (
	"sync/atomic"
	"time"
)

// group is everything that the pool knows of one key. It exists as long as the key has a connection, a dial or a want,
// or belongs to a Host that has one, and is guarded by Pool.mu.
type group[K comparable, C Conn] struct {
	key K          // set once
	own host[K, C] // of those who ask for this key alone

	all    chain[K, C] // every connection, the oldest first
	idle   chain[K, C] // a stack: the most recently released first
	spare  chain[K, C] // shared, in use, and with room for more
	active int         // connections in use

	share  int32  // the capacity that the latest connection has shown; 0: none has been seen
	lesson uint32 // when: see Pool.lessons

	seats *[]*seat[K, C] // in the hosts that have the key, too; nil: none. They are few.

	avoided time.Duration // the MaxIdleTime of the latest Acquire that found only connections that were idle longer

	hits atomic.Uint64 // counted when a probe has succeeded, thus without the lock
}

// wants are those who wait for a connection of a host. Most hosts have none: each has room for them only while it needs
// it.
type wants[K comparable, C Conn] struct {
	// Every want is in one of two queues, oldest first: plain takes any connection, own only a newly dialed
	// one. A want for which no dial of its own is under way is also in unasked.
	plain, own, unasked list[want[K, C]]

	alone   int  // wants that are Unpooled
	covered int  // dials under way that a want still waits for, and that may bring what others can share
	mixed   bool // wants in unasked may differ in what covers them
	roof    int  // at least the highest MaxConns in unasked: at this height nobody there may dial

	pace pace
}

func newGroup[K comparable, C Conn](p *Pool[K, C], key K) *group[K, C] {
	g := &group[K, C]{key: key}
	g.own.pool, g.own.wants, g.own.solo[0] = p, p.nobody, g
	g.all.kind, g.idle.kind, g.spare.kind = inAll, inGroup, inGroup
	return g
}

// ensure returns the group of a key, which may be new.
func (p *Pool[K, C]) ensure(key K) *group[K, C] {
	g := p.groups[key]
	if g == nil {
		g = newGroup(p, key)
		p.groups[key] = g
		p.crowd = max(p.crowd, len(p.groups))
	}
	return g
}

// room returns wants that are empty: those that were needed last, if nobody needs them now. Most keys have a dial now
// and then, and one want for as long as that takes.
func (p *Pool[K, C]) room() *wants[K, C] {
	ws := p.vacant
	if ws == nil {
		return newWants[K, C]()
	}
	p.vacant = nil
	ws.mixed, ws.roof = false, 0
	ws.pace.reset()
	return ws
}

func newWants[K comparable, C Conn]() *wants[K, C] {
	ws := new(wants[K, C])
	ws.plain.init()
	ws.own.init()
	ws.unasked.init()
	return ws
}

func (ws *wants[K, C]) waiting() int { return ws.plain.len + ws.own.len }

// oldest is the oldest want that may have the connection.
func (ws *wants[K, C]) oldest(e *entry[K, C]) *want[K, C] {
	plain := ws.plain.first()
	if e.used() && !e.shared() {
		return plain
	}
	own := ws.own.first()
	for own != nil && !e.newTo(own) {
		own = own.inQueue.next.owner
	}
	if plain == nil || own != nil && own.order < plain.order {
		return own
	}
	return plain
}

// queue is the one of the two that a want with these terms waits in.
func (ws *wants[K, C]) queue(terms *Terms) *list[want[K, C]] {
	if terms.ownDial() {
		return &ws.own
	}
	return &ws.plain
}

// heir is the oldest want that may have the connection: one for its key, or for a host that has that.
func (g *group[K, C]) heir(e *entry[K, C]) *want[K, C] {
	heir := g.own.oldest(e)
	for _, s := range g.joined() {
		if !s.listed {
			continue
		}
		if w := s.host.oldest(e); w != nil && (heir == nil || w.order < heir.order) {
			heir = w
		}
	}
	return heir
}

// empty says that the key has no connection.
func (g *group[K, C]) empty() bool { return g.idle.len+g.active == 0 }

// useless says that nothing is left to know of the key.
func (g *group[K, C]) useless() bool {
	return g.empty() && g.own.dialing+g.own.waiting() == 0 && g.seats == nil && !g.own.kept()
}
