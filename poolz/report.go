package poolz

import (
	"cmp"
	"slices"
	"time"

	"github.com/peerpool/peerpool"
)

const (
	eventsOnPage = 5
	connsOnPage  = 500
)

// report is what the page and its JSON show of one moment.
type report struct {
	Query     query
	At        time.Time
	Stats     peerpool.Stats
	Observing bool
	MayDrain  bool
	Drained   *drained // a short time ago; nil: none

	Recent         span // within the window of the charts
	HitRatio, Rate chart

	Identities []identity // on this page, with their connections
	Pages      pages
	One        *identity // the one that the query asks for; nil if it asks for none, or the pool does not know it

	Closes, Misses []entry
	Failures       map[string]uint64

	Quarantines []quarantined
	Hosts       []host
	Limits      []limit

	names *names
}

// entry is an event with the name of its identity.
type entry struct {
	event
	Name  string // of the identity; "" if it is not known
	Parts []part
	ID    string
}

// Gone reports whether the query asks for an identity that the pool does not know.
func (r *report) Gone() bool { return r.Query.ID != "" && r.One == nil }

// drainedShown is how long the page shows a drain.
const drainedShown = time.Minute

// report takes a snapshot of the pool and returns what the query asks for.
func (p *Page) report(q query, now time.Time) *report {
	stats, spans := p.look(now)
	r := &report{Query: q, At: now, Stats: stats, Observing: p.watching.on.Load(), MayDrain: p.drain}
	r.HitRatio, r.Rate = charts(spans, now)
	r.Recent = sumOf(spans, now, r.HitRatio.Window)
	if d := p.drained.Load(); d != nil && now.Sub(d.At) < drainedShown {
		r.Drained = d
	}
	r.names = p.namesOf(&stats)
	r.Identities, r.Pages = cut(p.identities(&stats, q), q.Page, q.PerPage)
	for i := range r.Identities {
		one := &r.Identities[i]
		one.Conns = p.pool.Conns(one.Identity)
	}
	if q.ID != "" && len(r.Identities) == 1 {
		r.One = &r.Identities[0]
	}
	r.Quarantines = quarantines(&stats)
	r.Hosts = p.hostsOf(&stats, now)
	r.Limits = p.limits(&stats)
	r.Failures = p.failures.get()
	r.Closes, r.Misses = p.entries(&p.closes, q), p.entries(&p.misses, q)
	for _, e := range slices.Concat(r.Closes, r.Misses) {
		if e.Name != "" {
			r.names.add(e.Name, e.ID)
		}
	}
	r.nameEntries(r.Closes)
	r.nameEntries(r.Misses)
	for i := range r.Identities {
		one := &r.Identities[i]
		one.Parts = r.names.parts(one.Name, one.ID)
	}
	return r
}

// nameEntries sets the parts of the names of events.
func (r *report) nameEntries(entries []entry) {
	for i := range entries {
		if e := &entries[i]; e.Name != "" {
			e.Parts = r.names.parts(e.Name, e.ID)
		}
	}
}

// namesOf returns the names of all identities that the pool knows.
func (p *Page) namesOf(stats *peerpool.Stats) *names {
	n := newNames()
	for i := range stats.Peers {
		id := stats.Peers[i].Identity
		n.add(id.String(), p.idOf(id))
	}
	return n
}

// entries returns the latest events: all that are kept, for JSON and for the page of an identity. For the overview, it puts
// events of a kind together, and returns a few.
func (p *Page) entries(l *log, q query) []entry {
	events := l.latest(logKept, func(e *event) bool { return q.ID == "" || q.ID == p.idOf(e.identity) })
	if q.ID == "" && !q.JSON {
		events = together(events)
		events = events[:min(len(events), eventsOnPage)]
	}
	var entries []entry
	for _, e := range events {
		shown := entry{event: e}
		if e.identity != (peerpool.Identity{}) {
			shown.Name, shown.ID = e.identity.String(), p.idOf(e.identity)
		}
		entries = append(entries, shown)
	}
	return entries
}

// together returns the newest event for each identity and reason, with the count of all of them.
func together(events []event) []event {
	type kind struct {
		identity        peerpool.Identity
		reason, failure string
		heldBack        bool
	}
	at := make(map[kind]int)
	var kept []event
	for _, e := range events {
		k := kind{e.identity, e.Reason, e.Failure, e.HeldBack}
		if i, known := at[k]; known {
			kept[i].Count += e.Count
			continue
		}
		at[k] = len(kept)
		kept = append(kept, e)
	}
	return kept
}

// quarantined is a peer in quarantine.
type quarantined struct {
	Identity string    `json:"identity"`
	Why      string    `json:"why"`
	Events   uint64    `json:"events"`
	Silent   int       `json:"silent"`
	Since    time.Time `json:"since"`
	Last     time.Time `json:"last"`
}

// quarantines returns the peers in quarantine. The one that has sent unexpected data last is the first. The slice is
// never nil.
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
