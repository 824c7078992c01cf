package poolz

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
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
	Text, ID               string // ID: of its identity; "" if the pool has no connection to it
	State                  peerpool.AddressState
	Why                    string // what keeps it from being used, or may do so soon
	Idle, Active, Requests int
	Attempts               uint64
	Share                  float64 // of the attempts at all addresses, in percent
	Load                   int     // the same in shades, from 0 (nothing) to loadLevels (the most of all)
}

// addressStates explains the states.
var addressStates = map[peerpool.AddressState]string{
	peerpool.AddressListed:  "it gets its requests",
	peerpool.AddressAvoided: "connects to it fail: it is dialed only after the others, and its open connections still serve",
	peerpool.AddressEjected: "its requests fail: it gets no new requests for a while",
	peerpool.AddressTrial:   "it was left out, and one request finds out whether it is well again",
	peerpool.AddressLeaving: "the resolver no longer lists it: it gets no new requests",
}

// ejectReasons explains why an address is left out.
var ejectReasons = map[peerpool.EjectReason]string{
	peerpool.EjectConnect: "connects or TLS handshakes failed",
	peerpool.EjectSilent:  "a connect was not answered",
	peerpool.EjectRequest: "requests got no response, or half of one",
	peerpool.EjectTimeout: "requests timed out",
	peerpool.EjectStatus:  "responses had a status from 500 to 599",
}

// hostsOf returns the hosts with several addresses.
func (p *Page) hostsOf(stats *peerpool.Stats, now time.Time) []host {
	if len(stats.Hosts) == 0 {
		return nil
	}
	peers := make(map[peerpool.Identity]*peerpool.PeerStats, len(stats.Peers))
	for i := range stats.Peers {
		peers[stats.Peers[i].Identity] = &stats.Peers[i]
	}
	var shown []host
	for _, h := range stats.Hosts {
		one := host{Name: h.Identity.String(), Waiting: h.Waiting, Dialing: h.Dialing}
		for _, a := range h.Addresses {
			row := addressOf(a, now)
			if s := peers[a.Identity]; s != nil {
				row.ID = p.idOf(a.Identity)
				row.Attempts = s.Hits + s.Misses
			}
			one.Addresses = append(one.Addresses, row)
		}
		one.shareOut()
		shown = append(shown, one)
	}
	slices.SortStableFunc(shown, func(a, b host) int { return cmp.Compare(b.attempts(), a.attempts()) })
	return shown
}

// addressOf returns what is shown of an address besides its share.
func addressOf(a peerpool.AddressStats, now time.Time) address {
	row := address{Text: a.Addr.String(), State: a.State, Idle: a.Idle, Active: a.Active, Requests: a.Requests}
	var why []string
	switch {
	case a.Reason != "":
		why = append(why, ejectReasons[a.Reason])
	case a.ConnectFailures > 0:
		why = append(why, several(a.ConnectFailures, "connect", "connects")+" failed in a row")
	case a.Failures > 0:
		why = append(why, several(a.Failures, "request", "requests")+" failed in a row")
	case a.ServerErrors > 0:
		why = append(why, several(a.ServerErrors, "response", "responses")+" in a row had a status from 500 to 599")
	}
	if !a.Since.IsZero() {
		why = append(why, "since "+brief(now.Sub(a.Since)))
	}
	if a.Until.After(now) {
		why = append(why, "tried again in "+brief(a.Until.Sub(now)))
	}
	row.Why = strings.Join(why, ", ")
	return row
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
	counts := make(map[peerpool.AddressState]int)
	for _, a := range h.Addresses {
		counts[a.State]++
	}
	text := fmt.Sprintf("%d addresses", len(h.Addresses))
	if len(h.Addresses) == 1 {
		text = "1 address"
	}
	for _, state := range peerpool.AddressStates() {
		if n := counts[state]; n > 0 && state != peerpool.AddressListed {
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
	return slices.DeleteFunc(slices.Clone(h.Addresses), func(a address) bool { return a.well() })
}

// well reports whether nothing speaks against the address.
func (a address) well() bool { return a.State == peerpool.AddressListed && a.Why == "" }

// Class is the state as a word for the style.
func (a address) Class() string {
	if a.State == peerpool.AddressListed && a.Why != "" {
		return "failing"
	}
	return string(a.State)
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
