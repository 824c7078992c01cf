package poolz

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"time"
)

var (
	//go:embed page.html
	pageHTML string
	//go:embed style.css
	styleCSS string
	//go:embed refresh.js
	refreshJS string
)

// contentSecurityPolicy allows the page its own style and script, by their digests, and its icon, and nothing else.
var contentSecurityPolicy = "default-src 'none'; style-src " + digestSource(styleCSS) +
	"; script-src " + digestSource(refreshJS) +
	"; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func digestSource(text string) string {
	digest := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(digest[:]) + "'"
}

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"style":   func() template.CSS { return template.CSS(styleCSS) },
	"refresh": func() template.JS { return template.JS(refreshJS) },
	"int":     grouped[int],
	"count":   grouped[uint64],
	"percent": percent,
	"brief":   brief,
	"meaning": func(reason string) string { return meanings[reason] },
	"cell":    newCell,
	"tile":    newTile,
}).Parse(pageHTML))

// cell is a number in the table of identities.
type cell struct {
	Label, Text string
	Class       string // "z" for zeros, which stand back; else the one given
}

func newCell(label, text, class string) cell {
	if text == "0" || text == "–" || text == "0 s" {
		class = "z"
	}
	return cell{label, text, class}
}

// tile is a number in large.
type tile struct {
	Label, Stat, Text string
	Class             string // as in cell
}

func newTile(label, stat, text, class string) tile {
	return tile{label, stat, text, newCell(label, text, class).Class}
}

func (r *report) html() ([]byte, error) {
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, r); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// The following are for the template.

func (r *report) Ago(at time.Time) string { return ago(r.At.Sub(at)) }

func (r *report) MissShares() []share  { return shares(r.Stats.Misses) }
func (r *report) CloseShares() []share { return shares(r.Stats.Closes) }
func (r *report) RetryShares() []share { return retryShares(r.Stats.Retries) }
func (r *report) Missed() uint64       { return total(r.Stats.Misses) }
func (r *report) ClosedInAll() uint64  { return total(r.Stats.Closes) }

// RecentRatio and RecentRate are about the window of the charts.
func (r *report) RecentRatio() string { return percent(r.Recent.hits, r.Recent.misses) }
func (r *report) RecentRate() string  { return number64(r.Recent.perSecond()) }

func (r *report) Columns() []column { return columns }

// Known is how many identities there are.
func (r *report) Known() int { return len(r.Stats.Peers) }

// Previous and Next are the numbers of the pages around this one; 0: there is none.
func (p pages) Previous() int { return p.Page - 1 }

func (p pages) Next() int {
	if p.Page == p.Last {
		return 0
	}
	return p.Page + 1
}

// ConnsShown are the connections of the identity that was asked for, as many as a page can bear.
func (r *report) ConnsShown() []connRow {
	var rows []connRow
	for i, c := range r.One.Conns[:min(len(r.One.Conns), connsOnPage)] {
		row := connRow{Number: i + 1, State: "active", Class: "active", Age: c.Age, Idle: c.Idle, Uses: c.Uses,
			Leases: c.Leases, Capacity: c.Capacity}
		switch {
		case c.Retired != "":
			row.State, row.Class = "retired: "+string(c.Retired), "retired"
		case c.Leases == 0:
			row.State, row.Class = "idle", "idle"
		}
		rows = append(rows, row)
	}
	return rows
}

// ConnsLeftOut is how many connections of it are not shown.
func (r *report) ConnsLeftOut() int { return max(0, len(r.One.Conns)-connsOnPage) }

// connRow is a connection as it is shown.
type connRow struct {
	Number           int
	State, Class     string
	Age, Idle        time.Duration
	Uses             uint64
	Leases, Capacity int
}

// fact is one attribute of an identity.
type fact struct{ Name, Value string }

// Facts are what the identity that was asked for says of itself.
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
