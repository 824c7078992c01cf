package poolz

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"time"
)

var (
	//go:embed *.html
	templates embed.FS
	//go:embed style.css
	styleCSS string
	//go:embed refresh.js
	refreshJS string
)

// contentSecurityPolicy allows only the page's own style and script, by their digests, and its icon.
var contentSecurityPolicy = "default-src 'none'; style-src " + digestSource(styleCSS) +
	"; script-src " + digestSource(refreshJS) +
	"; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func digestSource(text string) string {
	digest := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(digest[:]) + "'"
}

var pageTemplate = template.Must(template.New("page.html").Funcs(template.FuncMap{
	"style":   func() template.CSS { return template.CSS(styleCSS) },
	"refresh": func() template.JS { return template.JS(refreshJS) },
	"int":     grouped[int],
	"count":   grouped[uint64],
	"percent": percent,
	"brief":   brief,
	"meaning": func(reason string) string { return meanings[reason] },
	"words":   func(word string) string { return words[word] },
	"quality": quality,
	"poor":    poor,
	"cell":    newCell,
	"tile":    newTile,

	"glossary":    glossary,
	"conncolumns": func() []string { return connColumns },
}).ParseFS(templates, "*.html"))

// connColumns are the columns of the table of connections after the number.
var connColumns = []string{"State", "Age", "Idle for", "Uses", "Requests"}

// cell is a number in a table.
type cell struct {
	Label, Text string
	Class       string // "z" for a zero, which is shown faintly; else the given one
}

func newCell(label, text, class string) cell {
	if text == "0" || text == "–" || text == "0 s" {
		class = "z"
	}
	return cell{label, text, class}
}

// tile is a number in large type.
type tile struct {
	Label, Stat, Text, Title string
	Class                    string // as in cell
}

func newTile(label, stat, text, class string) tile {
	return tile{label, stat, text, words[label], newCell(label, text, class).Class}
}

const (
	fewAttempts = 20  // with fewer, a hit ratio says nothing yet
	goodRatio   = 0.8 // from here on it is shown in green
	poorRatio   = 0.5 // below that, it is shown as a warning
)

// quality returns the class of a hit ratio.
func quality(hits, misses uint64) string {
	switch r := ratio(hits, misses); {
	case hits+misses < fewAttempts:
		return ""
	case r >= goodRatio:
		return "good"
	case r < poorRatio:
		return "warn"
	}
	return ""
}

func (r *report) html() ([]byte, error) {
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, r); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// The template calls the methods below.

func (r *report) Ago(at time.Time) string { return ago(r.At.Sub(at)) }

func (r *report) MissShares() shareList    { return listed(shares(r.Stats.Misses)) }
func (r *report) CloseShares() shareList   { return listed(shares(r.Stats.Closes)) }
func (r *report) FailureShares() shareList { return listed(failureShares(r.Failures)) }
func (r *report) LimitShares() shareList   { return listed(limitShares(r.Stats.Timeouts)) }
func (r *report) RetryShares() shareList   { return listed(retryShares(r.Stats.Retries)) }

func (r *report) LatestMisses() latest { return r.latest(r.Misses) }
func (r *report) LatestCloses() latest { return r.latest(r.Closes) }

// HostsShown returns the hosts that the page shows.
func (r *report) HostsShown() []host { return r.Hosts[:min(len(r.Hosts), hostsOnPage)] }

func (r *report) HostsLeftOut() int   { return max(0, len(r.Hosts)-hostsOnPage) }
func (r *report) Missed() uint64      { return total(r.Stats.Misses) }
func (r *report) ClosedInAll() uint64 { return total(r.Stats.Closes) }

// RecentRatio and RecentRate cover the window of the charts.
func (r *report) RecentRatio() string { return percent(r.Recent.hits, r.Recent.misses) }
func (r *report) RecentRate() string  { return number64(r.Recent.perSecond()) }

func (r *report) Columns() []column { return columns }

// Known returns the number of identities.
func (r *report) Known() int { return len(r.Stats.Peers) }

// Previous and Next return the numbers of the neighboring pages, or 0 if there is none.
func (p pages) Previous() int { return p.Page - 1 }

func (p pages) Next() int {
	if p.Page == p.Last {
		return 0
	}
	return p.Page + 1
}

// ConnsShown returns the connections of the identity that the page shows.
func (r *report) ConnsShown() []connRow {
	var rows []connRow
	for i, c := range r.One.Conns[:min(len(r.One.Conns), connsOnPage)] {
		row := connRow{Number: i + 1, State: "active", Class: "active", Age: c.Age, Idle: c.Idle, Uses: c.Uses,
			Leases: c.Leases, Capacity: c.Capacity}
		switch {
		case c.Retired != "":
			row.State, row.Class, row.Why = "retired: "+string(c.Retired), "retired", meanings[string(c.Retired)]
		case c.Leases == 0:
			row.State, row.Class = "idle", "idle"
		}
		rows = append(rows, row)
	}
	return rows
}

// ConnsLeftOut returns the number of its connections that the page does not show.
func (r *report) ConnsLeftOut() int { return max(0, len(r.One.Conns)-connsOnPage) }

// poor is like quality, but a good hit ratio does not stand out.
func poor(hits, misses uint64) string {
	if class := quality(hits, misses); class != "good" {
		return class
	}
	return ""
}

// DrainText says what the button will do.
func (r *report) DrainText() string {
	one := r.One
	var now string
	switch {
	case one.Idle > 0:
		now = several(one.Idle, "idle connection", "idle connections") + " will be closed at once. "
	default:
		now = "There is no idle connection. "
	}
	if one.Active > 0 {
		now += several(one.Active, "connection serves a request and will be closed", "connections serve requests and will be closed") +
			" after that. "
	}
	return now + "No request fails because of it. The next request opens a new connection."
}

// DrainCount says how many connections the button will drain.
func (r *report) DrainCount() string {
	return several(r.One.Idle+r.One.Active, "connection", "connections")
}

func several(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(n) + " " + more
}

// latest is a list of events as the page shows it.
type latest struct {
	Events    []latestEvent
	Observing bool
}

type latestEvent struct {
	entry
	Ago  string
	Link string // to the page of the identity; "" on that page, or if the identity is not known
}

func (r *report) latest(entries []entry) latest {
	l := latest{Observing: r.Observing}
	for _, e := range entries {
		shown := latestEvent{entry: e, Ago: ago(r.At.Sub(e.At))}
		if e.Name != "" && r.One == nil {
			shown.Link = r.Query.Looking(e.ID)
		}
		l.Events = append(l.Events, shown)
	}
	return l
}

// connRow is a connection as the page shows it.
type connRow struct {
	Number           int
	State, Class     string
	Why              string // it is retired
	Age, Idle        time.Duration
	Uses             uint64
	Leases, Capacity int
}

// fact is one attribute of an identity.
type fact struct{ Name, Value string }

// Facts returns the attributes of the identity that the page shows.
func (r *report) Facts() []fact {
	id := r.One.Identity
	var facts []fact
	for _, f := range []fact{
		{"network", id.Network()}, {"address", id.Address()}, {"scheme", id.Scheme()}, {"server name", id.ServerName()},
		{"proxy", id.Proxy()}, {"target", id.Target()}, {"group", id.Group()},
	} {
		if f.Value != "" {
			facts = append(facts, f)
		}
	}
	return facts
}
