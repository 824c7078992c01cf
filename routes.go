package peerpool

import (
	"maps"
	"sync"
	"sync/atomic"
	"unique"
)

// maxRoutes is the largest number of routes of one identity. The identity may be that of a proxy or a sidecar that leads to
// any number of hosts. The oldest route is forgotten first. To find it again costs no connection.
const maxRoutes = 64

// routes remembers the routes of the connections that the pool holds. It forgets a route when the pool forgets the identity
// of the route, so the pool limits its size.
type routes struct {
	mu         sync.RWMutex // guards the maps; nothing is called while it is held
	byKey      map[routeKey]*route
	byIdentity map[unique.Handle[Identity]]*route // the oldest route of each; route.next has the others
	crowd      int                                // the largest size of byKey since it was made

	latest atomic.Pointer[route] // the route of byKey that was last asked for, or nil
}

// get returns the route of a key, or nil. Most requests ask for the same route as the request before them.
func (rs *routes) get(key *routeKey) *route {
	if r := rs.latest.Load(); r != nil && r.key == *key {
		return r
	}
	rs.mu.RLock()
	r := rs.byKey[*key]
	if r != nil {
		rs.latest.Store(r) // while the lock is held, so that r is not a route that has been forgotten meanwhile
	}
	rs.mu.RUnlock()
	return r
}

// put remembers a route and returns it. If another request has just made a route to the same host, put returns that one:
// there must be only one for each host, or else the limits of the host would not hold.
func (rs *routes) put(r *route) *route {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if old := rs.byKey[r.key]; old == r || old != nil && old.id == r.id && old.host != nil && r.host != nil {
		return old
	}
	if rs.byKey == nil {
		rs.byKey = make(map[routeKey]*route)
		rs.byIdentity = make(map[unique.Handle[Identity]]*route)
	}
	if old := rs.byKey[r.key]; old != nil {
		rs.removeLocked(old)
	}
	if oldest := rs.byIdentity[r.id]; oldest.count() >= maxRoutes {
		rs.removeLocked(oldest)
	}
	rs.byKey[r.key] = r
	rs.byIdentity[r.id] = rs.byIdentity[r.id].append(r)
	rs.crowd = max(rs.crowd, len(rs.byKey))
	return r
}

// drop forgets a route that has no connection.
func (rs *routes) drop(r *route) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.byKey[r.key] == r {
		rs.removeLocked(r)
	}
}

func (rs *routes) removeLocked(r *route) {
	delete(rs.byKey, r.key)
	rs.latest.CompareAndSwap(r, nil)
	if left := rs.byIdentity[r.id].without(r); left == nil {
		delete(rs.byIdentity, r.id)
	} else {
		rs.byIdentity[r.id] = left
	}
}

// count, append and without treat r as a list of routes that begins with r. An empty list is nil.
func (r *route) count() (n int) {
	for ; r != nil; r = r.next {
		n++
	}
	return n
}

func (r *route) append(last *route) *route {
	if r == nil {
		return last
	}
	at := r
	for at.next != nil {
		at = at.next
	}
	at.next = last
	return r
}

func (r *route) without(gone *route) *route {
	for at := &r; *at != nil; at = &(*at).next {
		if *at == gone {
			*at, gone.next = gone.next, nil
			break
		}
	}
	return r
}

// forget is called by the pool when an identity no longer has a connection.
func (rs *routes) forget(id unique.Handle[Identity]) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for r := rs.byIdentity[id]; r != nil; {
		delete(rs.byKey, r.key)
		rs.latest.CompareAndSwap(r, nil)
		r, r.next = r.next, nil
	}
	delete(rs.byIdentity, id)
	rs.shrinkLocked()
}

// shrinkLocked makes the maps anew when little of them is in use, because a map keeps the memory of its largest size.
func (rs *routes) shrinkLocked() {
	if rs.crowd < 1024 || len(rs.byKey) > rs.crowd/4 {
		return
	}
	rs.crowd = len(rs.byKey)
	byKey := make(map[routeKey]*route, len(rs.byKey))
	maps.Copy(byKey, rs.byKey)
	byIdentity := make(map[unique.Handle[Identity]]*route, len(rs.byIdentity))
	maps.Copy(byIdentity, rs.byIdentity)
	rs.byKey, rs.byIdentity = byKey, byIdentity
}
