package poolz

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/peerpool/peerpool"
)

// limitsOnPage is the largest number of peers whose learned limits the overview shows.
const limitsOnPage = 8

// limit holds the limits that the Transport has learned about a peer.
type limit struct {
	Name, ID string // of the identity
	Known    bool   // the pool knows the identity
	peerpool.LearnedLimits
}

// limits returns the limits that the Transport has learned. The latest is the first. The slice is never nil.
func (p *Page) limits(stats *peerpool.Stats) []limit {
	all := make([]limit, 0, len(stats.Learned))
	if len(stats.Learned) == 0 {
		return all
	}
	known := make(map[peerpool.Identity]bool, len(stats.Peers))
	for _, peer := range stats.Peers {
		known[peer.Identity] = true
	}
	for _, l := range stats.Learned {
		all = append(all, limit{l.Identity.String(), p.idOf(l.Identity), known[l.Identity], l.LearnedLimits})
	}
	slices.SortFunc(all, func(a, b limit) int {
		return cmp.Or(b.since().Compare(a.since()), cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return all
}

func (l limit) since() time.Time {
	if l.RequestsSince.After(l.IdleSince) {
		return l.RequestsSince
	}
	return l.IdleSince
}

// Text says what the Transport has learned, and what it does about that.
func (l limit) Text() string {
	var parts []string
	if l.IdleClose > 0 {
		parts = append(parts, "closes connections that have been idle for "+brief(l.IdleClose)+
			", so a request that cannot be sent again takes none that has been idle for longer than "+brief(l.IdleTime))
	}
	if l.Requests > 0 {
		parts = append(parts, "serves "+several(l.Requests, "request", "requests")+" on a connection")
	}
	return strings.Join(parts, "; ")
}

// LimitsShown returns the learned limits that the overview shows.
func (r *report) LimitsShown() []limit { return r.Limits[:min(len(r.Limits), limitsOnPage)] }

// LimitsLeftOut returns the number of peers whose learned limits the overview does not show.
func (r *report) LimitsLeftOut() int { return max(0, len(r.Limits)-limitsOnPage) }

// Learned returns what the Transport has learned about the identity that the page shows, or "".
func (r *report) Learned() string {
	for _, l := range r.Limits {
		if l.ID == r.One.ID {
			return l.Text()
		}
	}
	return ""
}
