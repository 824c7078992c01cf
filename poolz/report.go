package poolz

import (
	"cmp"
	"slices"
	"time"

	"github.com/peerpool/peerpool"
)

const (
	eventsOnPage = 6
	connsOnPage  = 500
)

// report is all that one look at the pool has found, for the page and for JSON.
type report struct {
	Query     query
	At        time.Time
	Stats     peerpool.Stats
	Observing bool
	MayDrain  bool
	Drained   *drained // not too long ago; nil: nothing

	Recent         span // what happened in the charts' window
	HitRatio, Rate chart

	Identities []identity // on this page, with their connections
	Pages      pages
	One        *identity // the one that was asked for, if any was

	Closes, Misses []entry

	Quarantines []quarantined
}

// entry is an event as it is shown.
type entry struct {
	event
	Name string // of the identity; "" if it is not known
	ID   string
}

// Gone says that an identity was asked for that the pool does not know, or no longer.
func (r *report) Gone() bool { return r.Query.ID != "" && r.One == nil }

// drainedShown is how long the page tells that something was drained.
const drainedShown = time.Minute

// report looks at the pool.
func (p *Page) report(q query, now time.Time) *report {
	stats, spans := p.look(now)
	r := &report{Query: q, At: now, Stats: stats, Observing: p.watching.on.Load(), MayDrain: p.drain}
	r.HitRatio, r.Rate = charts(spans, now)
	r.Recent = sumOf(spans, now, r.HitRatio.Window)
	if d := p.drained.Load(); d != nil && now.Sub(d.At) < drainedShown {
		r.Drained = d
	}
	r.Identities, r.Pages = cut(p.identities(&stats, q), q.Page, q.PerPage)
	for i := range r.Identities {
		r.Identities[i].Conns = p.pool.Conns(r.Identities[i].Identity)
	}
	if q.ID != "" && len(r.Identities) == 1 {
		r.One = &r.Identities[0]
	}
	r.Quarantines = quarantines(&stats)
	r.Closes, r.Misses = p.entries(&p.closes, q), p.entries(&p.misses, q)
	return r
}

// entries returns the latest events: all that are kept for a machine or of one identity, else some.
func (p *Page) entries(l *log, q query) []entry {
	most := logKept
	if q.ID == "" && !q.JSON {
		most = eventsOnPage
	}
	var entries []entry
	for _, e := range l.latest(most, func(e *event) bool { return q.ID == "" || q.ID == p.idOf(e.identity) }) {
		shown := entry{event: e}
		if e.identity != (peerpool.Identity{}) {
			shown.Name, shown.ID = e.identity.String(), p.idOf(e.identity)
		}
		entries = append(entries, shown)
	}
	return entries
}

// quarantined is a peer whose connections serve one request each.
type quarantined struct {
	Identity string    `json:"identity"`
	Why      string    `json:"why"`
	Events   uint64    `json:"events"`
	Silent   int       `json:"silent"`
	Since    time.Time `json:"since"`
	Last     time.Time `json:"last"`
}

// quarantines returns the peers in quarantine, the latest to send what nobody asked for first; never nil.
func quarantines(stats *peerpool.Stats) []quarantined {
	all := make([]quarantined, 0, len(stats.Quarantined))
	for _, q := range stats.Quarantined {
		all = append(all, quarantined{q.Identity.String(), q.Why, q.Events, q.Silent, q.Since, q.Last})
	}
	slices.SortFunc(all, func(a, b quarantined) int {
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Identity, b.Identity))
	})
	return all
}
