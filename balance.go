package peerpool

import "github.com/peerpool/peerpool/pool"

// Balance says how the requests to a host with several addresses are spread over them. It has no effect where a dial
// function or a proxy resolves the host.
type Balance uint8

const (
	// BalanceNone does as net/http does: a request takes the idle connection that was released last, to whatever address,
	// and a dial follows the order of the resolver. An address that is new gets requests as connections are replaced:
	// within one MaxConnLifetime.
	BalanceNone Balance = iota

	// BalanceRoundRobin gives each address as many requests as any other. An address that is new gets its share as soon
	// as it is listed.
	BalanceRoundRobin

	// BalanceLeastRequests takes the address with the fewest requests under way. It suits servers that differ in speed.
	BalanceLeastRequests
)

// ofPool is the same in the words of the pool.
func (b Balance) ofPool() pool.Balance {
	switch b {
	case BalanceRoundRobin:
		return pool.BalanceRoundRobin
	case BalanceLeastRequests:
		return pool.BalanceLeastLeases
	}
	return pool.BalanceNone
}
