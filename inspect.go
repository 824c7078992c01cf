package peerpool

import (
	"unique"

	"github.com/peerpool/peerpool/pool"
)

// ConnStats describes one connection at one moment: its age, how long it has been idle, how often it has been
// used and for how many requests at once, and why it takes no new one if that is so.
type ConnStats = pool.ConnStats

// Conns describes the connections of an identity, the oldest first; none if the pool does not know it. The
// identities that it knows are the keys of [Stats.Peers]. It is safe for concurrent use, and holds the pool up
// for a time that grows with the number of these connections.
func (t *Transport) Conns(id Identity) []ConnStats {
	return t.runtime().pool.Conns(unique.Make(id))
}

// Drain takes the connections that an identity has now out of service: those that idle are closed, those in use
// serve no further request and are closed as theirs ends. The reason of all these closes is "drain". The next
// request is not kept from dialing the same peer, nor are dials under way affected. It returns how many
// connections there were, without those that were on their way out before, and is safe for concurrent use.
func (t *Transport) Drain(id Identity) int {
	return t.runtime().pool.Drain(unique.Make(id), reasonDrain)
}
