package peerpool

import (
	"unique"

	"github.com/peerpool/peerpool/pool"
)

// ConnStats describes one connection at one moment: its age, how long it has been idle, how many requests it has
// served, how many requests it serves now, and, if it takes no new request, why.
type ConnStats = pool.ConnStats

// Conns returns a description of each connection of an identity, with the oldest connection first. It returns none if
// the pool does not know the identity. [Stats.Peers] holds the identities that the pool knows. Conns is safe for
// concurrent use. It blocks the pool for a time that grows with the number of connections of the identity.
func (t *Transport) Conns(id Identity) []ConnStats {
	return t.use().pool.Conns(unique.Make(id))
}

// Drain takes the current connections of an identity out of service. It closes those that are idle. Those in use take
// no new request, and are closed when the requests on them end. The CloseReason of these connections is "drain".
// Drain does not affect dials under way, and the next request may dial the same peer. Drain returns how many
// connections it took out of service, without those that were already taking no new request. It is safe for
// concurrent use.
func (t *Transport) Drain(id Identity) int {
	return t.use().pool.Drain(unique.Make(id), reasonDrain)
}
