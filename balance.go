package peerpool

import "github.com/peerpool/peerpool/pool"

// Balance says how a Transport spreads the requests to a host with several addresses over these addresses. It has no
// effect if a dial function or a proxy resolves the host.
type Balance uint8

const (
	// BalanceNone does not spread the requests, as in net/http. A request takes the idle connection that was released
	// last, no matter to which address, and a dial tries the addresses in the resolver's order. A new address gets
	// requests as connections are replaced, which takes at most one MaxConnLifetime.
	BalanceNone Balance = iota

	// BalanceRoundRobin sends the same number of requests to each address, beginning with one that it draws at random. A
	// new address gets its share as soon as the resolver lists it.
	BalanceRoundRobin

	// BalanceLeastRequests sends a request to the address that has the fewest requests under way. It suits servers
	// that differ in speed.
	BalanceLeastRequests
)

// ofPool returns the value of package pool that means the same.
func (b Balance) ofPool() pool.Balance {
	switch b {
	case BalanceRoundRobin:
		return pool.BalanceRoundRobin
	case BalanceLeastRequests:
		return pool.BalanceLeastLeases
	}
	return pool.BalanceNone
}
