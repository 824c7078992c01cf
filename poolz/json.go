package poolz

import (
	"encoding/json"
	"time"

	"github.com/peerpool/peerpool"
)

// document is the report as JSON. Durations are in seconds. Maps and lists are never null.
type document struct {
	At           time.Time                       `json:"at"`
	Idle         int                             `json:"idle"`
	Active       int                             `json:"active"`
	Dialing      int                             `json:"dialing"`
	Waiting      int                             `json:"waiting"`
	Opened       uint64                          `json:"opened"`
	Hijacked     uint64                          `json:"hijacked"`
	Hits         uint64                          `json:"hits"`
	Misses       map[peerpool.MissReason]uint64  `json:"misses"`
	Dials        uint64                          `json:"dials"`
	DialFailures uint64                          `json:"dial_failures"`
	Replacements uint64                          `json:"replacements"`
	Lookups      uint64                          `json:"lookups"`
	LookupFails  uint64                          `json:"lookup_failures"`
	ConnectFails uint64                          `json:"connect_failures"`
	Ejections    uint64                          `json:"ejections"`
	Closes       map[peerpool.CloseReason]uint64 `json:"closes"`
	Retries      jsonRetries                     `json:"retries"`
	Timeouts     map[peerpool.TimeLimit]uint64   `json:"timeouts"`
	Failures     map[string]uint64               `json:"failed_requests"` // that the page has observed, by type of error, or truncated
	Unexpected   uint64                          `json:"unexpected_data"`
	Quarantined  []quarantined                   `json:"quarantined"`
	Learned      []jsonLimit                     `json:"learned"`
	Recent       jsonRecent                      `json:"recent"`
	Known        int                             `json:"known_identities"` // all of them
	Found        int                             `json:"found_identities"` // those that the search matches
	Hosts        []jsonHost                      `json:"hosts"`            // those with several addresses
	Identities   []jsonIdentity                  `json:"identities"`       // those on this page
	LastCloses   []jsonEvent                     `json:"last_closes"`      // the newest first
	LastMisses   []jsonEvent                     `json:"last_misses"`
	Drained      *drained                        `json:"drained,omitempty"`
}

type jsonRetries struct {
	Stale       uint64 `json:"stale"`
	Unsent      uint64 `json:"unsent"`
	Misdirected uint64 `json:"misdirected"`
	Refused     uint64 `json:"refused"`
	Lost        uint64 `json:"lost"`
	HTTP1       uint64 `json:"http1"`
	Address     uint64 `json:"another_address"`
	OverBudget  uint64 `json:"over_budget"`
	Saved       uint64 `json:"saved"`
	Failed      uint64 `json:"failed"`
}

// jsonRecent counts what happened within the window of the charts.
type jsonRecent struct {
	Seconds float64 `json:"seconds"`
	Hits    uint64  `json:"hits"`
	Misses  uint64  `json:"misses"`
}

type jsonIdentity struct {
	ID           string     `json:"id"`
	Identity     string     `json:"identity"`
	Idle         int        `json:"idle"`
	Active       int        `json:"active"`
	Dialing      int        `json:"dialing"`
	Waiting      int        `json:"waiting"`
	Hits         uint64     `json:"hits"`
	Misses       uint64     `json:"misses"`
	Dials        uint64     `json:"dials"`
	DialFailures uint64     `json:"dial_failures"`
	Conns        []jsonConn `json:"conns"` // the oldest first
}

type jsonConn struct {
	Age      float64 `json:"age_seconds"`
	Idle     float64 `json:"idle_seconds"` // 0 while it is in use
	Uses     uint64  `json:"uses"`
	Leases   int     `json:"leases"`
	Capacity int     `json:"capacity"`
	Retired  string  `json:"retired,omitempty"`
}

type jsonHost struct {
	Host      string        `json:"host"`
	Waiting   int           `json:"waiting"`
	Dialing   int           `json:"dialing"`
	Addresses []jsonAddress `json:"addresses"` // in the resolver's order
}

type jsonAddress struct {
	Address  string  `json:"address"`
	ID       string  `json:"id,omitempty"` // of its identity
	State    string  `json:"state"`
	Why      string  `json:"why,omitempty"`
	Idle     int     `json:"idle"`
	Active   int     `json:"active"`
	Requests int     `json:"requests"` // under way
	Attempts uint64  `json:"attempts"`
	Percent  float64 `json:"percent"` // of the attempts at all addresses
}

type jsonLimit struct {
	ID            string     `json:"id"`
	Identity      string     `json:"identity"`
	IdleClose     float64    `json:"idle_close_seconds,omitempty"` // the server closes a connection that is idle for so long
	IdleTime      float64    `json:"idle_time_seconds,omitempty"`  // the Transport lets none be idle for longer before some requests
	IdleSince     *time.Time `json:"idle_since,omitempty"`
	Requests      int        `json:"requests,omitempty"` // on a connection
	RequestsSince *time.Time `json:"requests_since,omitempty"`
}

type jsonEvent struct {
	At       time.Time `json:"at"`
	Reason   string    `json:"reason"`
	Count    uint64    `json:"count"`
	ID       string    `json:"id,omitempty"`
	Identity string    `json:"identity,omitempty"`
	Waited   float64   `json:"waited_seconds,omitempty"`
	Failure  string    `json:"failure,omitempty"`
	HeldBack bool      `json:"held_back,omitempty"` // MaxConnsPerHost made the request wait
}

func (r *report) json() ([]byte, error) {
	s := &r.Stats
	text, err := json.MarshalIndent(document{
		At: r.At, Idle: s.Idle, Active: s.Active, Dialing: s.Dialing, Waiting: s.Waiting,
		Opened: s.Opened, Hijacked: s.Hijacked, Hits: s.Hits, Misses: s.Misses,
		Dials: s.Dials, DialFailures: s.DialFailures, Closes: s.Closes,
		Replacements: s.Replacements, Lookups: s.Lookups, LookupFails: s.LookupFailures, ConnectFails: s.ConnectFailures, Ejections: s.Ejections,
		Hosts: converted(r.Hosts, jsonHostOf), Learned: converted(r.Limits, jsonLimitOf),
		Retries: jsonRetries(s.Retries), Timeouts: s.Timeouts, Failures: r.Failures, Unexpected: s.UnexpectedData, Quarantined: r.Quarantines,
		Recent: jsonRecent{r.Recent.to.Sub(r.Recent.from).Seconds(), r.Recent.hits, r.Recent.misses},
		Known:  len(s.Peers), Found: r.Pages.Found,
		Identities: converted(r.Identities, jsonIdentityOf),
		LastCloses: converted(r.Closes, jsonEventOf), LastMisses: converted(r.Misses, jsonEventOf),
		Drained: r.Drained,
	}, "", "  ")
	return append(text, '\n'), err
}

func jsonIdentityOf(i identity) jsonIdentity {
	return jsonIdentity{
		ID: i.ID, Identity: i.Name, Idle: i.Idle, Active: i.Active, Dialing: i.Dialing, Waiting: i.Waiting,
		Hits: i.Hits, Misses: i.Misses, Dials: i.Dials, DialFailures: i.DialFailures,
		Conns: converted(i.Conns, jsonConnOf),
	}
}

func jsonConnOf(c peerpool.ConnStats) jsonConn {
	return jsonConn{c.Age.Seconds(), c.Idle.Seconds(), c.Uses, c.Leases, c.Capacity, string(c.Retired)}
}

func jsonHostOf(h host) jsonHost {
	return jsonHost{h.Name, h.Waiting, h.Dialing, converted(h.Addresses, jsonAddressOf)}
}

func jsonAddressOf(a address) jsonAddress {
	return jsonAddress{a.Text, a.ID, string(a.State), a.Why, a.Idle, a.Active, a.Requests, a.Attempts, a.Share}
}

func jsonLimitOf(l limit) jsonLimit {
	return jsonLimit{l.ID, l.Name, l.IdleClose.Seconds(), l.IdleTime.Seconds(), timeOrNil(l.IdleSince), l.Requests, timeOrNil(l.RequestsSince)}
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func jsonEventOf(e entry) jsonEvent {
	return jsonEvent{e.At, e.Reason, e.Count, e.ID, e.Name, e.Waited.Seconds(), e.Failure, e.HeldBack}
}

// converted returns the converted elements. It never returns nil, so that an empty list is [] in JSON and not null.
func converted[A, B any](all []A, convert func(A) B) []B {
	to := make([]B, len(all))
	for i, a := range all {
		to[i] = convert(a)
	}
	return to
}
