package poolz

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"time"

	"github.com/peerpool/peerpool"
)

// identity is an identity that the pool knows, with its statistics.
type identity struct {
	ID    string // for links
	Name  string
	Parts []part
	peerpool.PeerStats
	Conns []peerpool.ConnStats // the oldest first; set only for identities that are shown
}

// Ratio returns the share of hits in the attempts. It is negative if there were no attempts.
func (i *identity) Ratio() float64 { return ratio(i.Hits, i.Misses) }

// Oldest returns the age of the oldest connection.
func (i *identity) Oldest() time.Duration {
	if len(i.Conns) == 0 {
		return 0
	}
	return i.Conns[0].Age
}

// MostUses returns the largest number of uses of a connection.
func (i *identity) MostUses() uint64 {
	var most uint64
	for _, c := range i.Conns {
		most = max(most, c.Uses)
	}
	return most
}

func ratio(hits, misses uint64) float64 {
	if hits+misses == 0 {
		return -1
	}
	return float64(hits) / float64(hits+misses)
}

// column is a column by which identities can be sorted.
type column struct {
	Name, Title string
	compare     func(a, b *identity) int
}

const columnIdentity = "identity"

var columns = []column{
	{columnIdentity, "Identity", func(a, b *identity) int { return cmp.Compare(a.Name, b.Name) }},
	{"idle", "Idle", by(func(i *identity) int { return i.Idle })},
	{"active", "Active", by(func(i *identity) int { return i.Active })},
	{"dialing", "Dialing", by(func(i *identity) int { return i.Dialing })},
	{"waiting", "Waiting", by(func(i *identity) int { return i.Waiting })},
	{"ratio", "Hit ratio", by((*identity).Ratio)},
	{"hits", "Hits", by(func(i *identity) uint64 { return i.Hits })},
	{"misses", "Misses", by(func(i *identity) uint64 { return i.Misses })},
	{"dials", "Dials", by(func(i *identity) uint64 { return i.Dials })},
	{"failed", "Failed", by(func(i *identity) uint64 { return i.DialFailures })},
}

func by[T cmp.Ordered](of func(*identity) T) func(a, b *identity) int {
	return func(a, b *identity) int { return cmp.Compare(of(a), of(b)) }
}

func columnNames() string {
	var names []string
	for _, c := range columns {
		names = append(names, c.Name)
	}
	return strings.Join(names, ", ")
}

// idOf returns the id of an identity for links. The id is a digest with a key that only this Page has. It stays the same as
// long as the Page exists, and does not reveal secrets that the identity holds.
func (p *Page) idOf(id peerpool.Identity) string {
	return fmt.Sprintf("%016x", maphash.Comparable(p.seed, id))
}

// identities returns the identities of a snapshot that the query asks for, sorted.
func (p *Page) identities(stats *peerpool.Stats, q query) []identity {
	words := strings.Fields(strings.ToLower(q.Search))
	found := make([]identity, 0, len(stats.Peers))
	for _, s := range stats.Peers {
		i := identity{ID: p.idOf(s.Identity), Name: s.Identity.String(), PeerStats: s}
		if (q.ID == "" || q.ID == i.ID) && matches(i.Name, words) {
			found = append(found, i)
		}
	}
	sortIdentities(found, q.Sort, q.Asc)
	return found
}

// matches reports whether a name contains all the words, which are in lower case.
func matches(name string, words []string) bool {
	name = strings.ToLower(name)
	return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(name, w) })
}

// sortIdentities sorts by a column, and by name where the column is equal, so that equal rows keep their order when the
// page refreshes.
func sortIdentities(all []identity, by string, asc bool) {
	of := columns[slices.IndexFunc(columns, func(c column) bool { return c.Name == by })].compare
	slices.SortFunc(all, func(a, b identity) int {
		first := of(&a, &b)
		if !asc {
			first = -first
		}
		return cmp.Or(first, cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
}

// pages says which part of a list a page shows.
type pages struct {
	Page, Last  int
	From, To    int // numbers of the first and the last one shown, from 1; both 0 if there is none
	Found, Size int
}

// cut returns the part of the list that is on the given page, or on the last page if there are fewer.
func cut(all []identity, page, perPage int) ([]identity, pages) {
	if perPage == 0 {
		perPage = max(1, len(all))
	}
	last := max(1, (len(all)+perPage-1)/perPage)
	page = min(page, last)
	from := (page - 1) * perPage
	to := min(from+perPage, len(all))
	at := pages{Page: page, Last: last, Found: len(all), Size: perPage, From: from + 1, To: to}
	if len(all) == 0 {
		at.From = 0
	}
	return all[from:to], at
}
