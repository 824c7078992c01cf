package pool

import (
	"sync/atomic"
	"time"
)

// group holds everything that the pool knows about one key. It exists as long as the key has a connection, a dial, a
// want or a floor, or belongs to a Host that has one. Pool.mu guards it.
type group[K comparable, C Conn] struct {
	key K          // set once
	own host[K, C] // of the requests that ask for this key alone

	all    chain[K, C]  // all connections, the oldest first
	idle   chain[K, C]  // a stack: see group.stack
	unused *entry[K, C] // the last of the unused connections on top of the stack, or nil
	spare  chain[K, C]  // shared connections in use that have room
	active int          // connections in use

	share  int32  // the capacity that the latest connection has shown; 0 if none has been seen
	lesson uint32 // when it was shown: see Pool.lessons

	seats *[]*seat[K, C] // its places in Hosts that have the key, usually few; nil if there are none

	// avoided is the MaxIdleTime of the latest Acquire that refused a connection because it had been idle for too long.
	avoided time.Duration

	opens      time.Duration     // how long dials of the key take
	succession *succession[K, C] // nil until a connection is replaced

	hits atomic.Uint64 // counted after a probe has succeeded, without the lock
}

// wants holds the wants of a host. Most hosts have none, so a host has its own wants only while it needs them.
type wants[K comparable, C Conn] struct {
	// Every want is in one of two queues, with the oldest first. Wants in plain take any connection, and wants in own
	// take only a newly dialed one. A want that has no dial under way is also in unasked.
	plain, own, unasked list[want[K, C]]

	alone   int  // the number of Unpooled wants
	covered int  // dials under way that a want still waits for, and whose connections others may share
	mixed   bool // wants in unasked may differ in which dials cover them
	roof    int  // at least the highest MaxConns in unasked; a host with so many connections dials for none of them

	pace pace
}

func newGroup[K comparable, C Conn](p *Pool[K, C], key K) *group[K, C] {
	g := &group[K, C]{key: key}
	g.own.pool, g.own.wants, g.own.solo[0] = p, p.nobody, g
	g.all.kind, g.idle.kind, g.spare.kind = inAll, inGroup, inGroup
	return g
}

// ensure returns the group of a key. If the pool does not know the key, ensure makes the group.
func (p *Pool[K, C]) ensure(key K) *group[K, C] {
	g := p.groups[key]
	if g == nil {
		g = newGroup(p, key)
		p.groups[key] = g
		p.crowd = max(p.crowd, len(p.groups))
	}
	return g
}

// room returns empty wants. It reuses those that were needed last if no host needs them now. Most keys have a dial only
// now and then, and one want for as long as the dial takes.
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

// oldest returns the oldest want that may have the connection, or nil.
func (ws *wants[K, C]) oldest(e *entry[K, C]) *want[K, C] {
	plain := ws.plain.first()
	if e.used() && !e.shared {
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

// queue returns the queue in which a want with these terms waits.
func (ws *wants[K, C]) queue(terms *Terms) *list[want[K, C]] {
	if terms.ownDial() {
		return &ws.own
	}
	return &ws.plain
}

// heir returns the oldest want that may have the connection, for its key or for a host that lists the key, or nil.
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

// empty reports whether the key has no connection.
func (g *group[K, C]) empty() bool { return g.idle.len()+g.active == 0 }

// useless reports whether the pool can forget the key.
func (g *group[K, C]) useless() bool {
	return g.empty() && g.own.dialing+g.own.waiting() == 0 && g.seats == nil && !g.own.kept()
}
