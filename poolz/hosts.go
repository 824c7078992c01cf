package poolz

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/peerpool/peerpool"
)

const (
	addressesInTable = 8    // a host with more addresses shows them as squares, and in the table those that are not well
	unwellInTable    = 5    // of such a host
	addressesOnPage  = 1000 // squares of a host
	hostsOnPage      = 20
	loadLevels       = 4 // shades of a square
)

// host is a host with several addresses, as it is shown.
type host struct {
	Name             string
	Waiting, Dialing int
	Addresses        []address // in the resolver's order
}

// address is one address of a host.
type address struct {
	Text, ID     string // ID: of its identity; "" if the pool has no connection to it
	State        string // one of addressStates
	Why          string // what keeps it from being used
	Idle, Active int
	Attempts     uint64
	Share        float64 // of the attempts at all addresses, in percent
	Load         int     // the same in shades, from 0 (nothing) to loadLevels (the most of all)
}

// The states of an address.
const (
	stateWell    = "well"
	stateFailing = "failing"
	stateOut     = "left out"
)

// addressStates explains the states.
var addressStates = map[string]string{
	stateWell:    "it gets its requests",
	stateFailing: "the last connects or requests to it have failed",
	stateOut:     "it has failed again and again, so it is dialed only after all others, and gets no request if requests failed",
}

// hostsOf returns the hosts with several addresses.
func (p *Page) hostsOf(stats *peerpool.Stats, now time.Time) []host {
	all := p.hosts()
	if len(all) == 0 {
		return nil
	}
	peers := make(map[peerpool.Identity]*peerpool.PeerStats, len(stats.Peers))
	for i := range stats.Peers {
		peers[stats.Peers[i].Identity] = &stats.Peers[i]
	}
	var shown []host
	for _, h := range all {
		one := host{Name: h.Identity.String(), Waiting: h.Waiting, Dialing: h.Dialing}
		for _, a := range h.Addresses {
			row := addressOf(a, now)
			if s := peers[a.Identity]; s != nil {
				row.ID = p.idOf(a.Identity)
				row.Idle, row.Active, row.Attempts = s.Idle, s.Active, s.Hits+s.Misses
			}
			one.Addresses = append(one.Addresses, row)
		}
		one.shareOut()
		shown = append(shown, one)
	}
	slices.SortStableFunc(shown, func(a, b host) int { return cmp.Compare(b.attempts(), a.attempts()) })
	return shown
}

// addressOf returns what is shown of an address besides its connections.
func addressOf(a peerpool.AddressStats, now time.Time) address {
	row := address{Text: a.Addr.String(), State: stateWell}
	switch {
	case a.LeftOut():
		row.State = stateOut
		row.Why = why(a) + "; tried again in " + brief(a.Until.Sub(now))
	case a.ConnectFailures+a.Failures+a.ServerErrors > 0:
		row.State, row.Why = stateFailing, why(a)
	}
	return row
}

// why says in which way an address has failed.
func why(a peerpool.AddressStats) string {
	switch {
	case a.ServerErrors > 0 && a.Failures == 0:
		return lastOf(a.ServerErrors, "response had a status of 5xx", "responses had a status of 5xx")
	case a.Failures > 0:
		return lastOf(a.Failures, "request failed", "requests failed")
	}
	return lastOf(a.ConnectFailures, "connect failed", "connects failed")
}

func lastOf(n int, one, many string) string {
	if n == 1 {
		return "the last " + one
	}
	return fmt.Sprintf("the last %d %s", n, many)
}

// shareOut sets the shares of the addresses.
func (h *host) shareOut() {
	var most uint64
	for _, a := range h.Addresses {
		most = max(most, a.Attempts)
	}
	if most == 0 {
		return
	}
	all := h.attempts()
	for i := range h.Addresses {
		a := &h.Addresses[i]
		a.Share = 100 * float64(a.Attempts) / float64(all)
		a.Load = int((a.Attempts*loadLevels + most - 1) / most)
	}
}

func (h *host) attempts() (n uint64) {
	for _, a := range h.Addresses {
		n += a.Attempts
	}
	return n
}

// The following are for the template.

// Summary says how many addresses are in which state.
func (h host) Summary() string {
	counts := make(map[string]int)
	for _, a := range h.Addresses {
		counts[a.State]++
	}
	text := fmt.Sprintf("%d addresses", len(h.Addresses))
	if len(h.Addresses) == 1 {
		text = "1 address"
	}
	for _, state := range []string{stateFailing, stateOut} {
		if n := counts[state]; n > 0 {
			text += fmt.Sprintf(", %d %s", n, state)
		}
	}
	return text
}

// Squares are the addresses of a host that has too many for a table.
func (h host) Squares() []address {
	if len(h.Addresses) <= addressesInTable {
		return nil
	}
	return h.Addresses[:min(len(h.Addresses), addressesOnPage)]
}

// Rows are the addresses in the table: all, or those that are not well.
func (h host) Rows() []address {
	if len(h.Addresses) <= addressesInTable {
		return h.Addresses
	}
	unwell := h.unwell()
	return unwell[:min(len(unwell), unwellInTable)]
}

// RowsLeftOut is how many addresses that are not well are squares alone.
func (h host) RowsLeftOut() int {
	if len(h.Addresses) <= addressesInTable {
		return 0
	}
	return max(0, len(h.unwell())-unwellInTable)
}

func (h host) unwell() []address {
	return slices.DeleteFunc(slices.Clone(h.Addresses), func(a address) bool { return a.State == stateWell })
}

// Class is the state as a word for the style.
func (a address) Class() string {
	if a.State == stateOut {
		return "out"
	}
	return a.State
}

func (a address) Meaning() string { return addressStates[a.State] }

// Title is all that a square says.
func (a address) Title() string {
	text := fmt.Sprintf("%s: %s, %d active, %d idle, %.1f %% of the attempts", a.Text, a.State, a.Active, a.Idle, a.Share)
	if a.Why != "" {
		text += "; " + a.Why
	}
	return text
}
