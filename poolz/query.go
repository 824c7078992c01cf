package poolz

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const (
	defaultRefresh = 5 // seconds
	maxRefresh     = 3600
	defaultPerPage = 50
	maxPerPage     = 1000
	defaultSort    = "hits"

	maxSearch = 200 // bytes; the links that keep the search repeat it
	maxID     = 64  // bytes
)

// query holds the parameters of a request. The links of the page repeat those that differ from the usual ones.
type query struct {
	Search  string
	Sort    string // the column
	Asc     bool
	Page    int // from 1
	PerPage int // identities; 0: all, for machines only
	Refresh int // seconds; 0: never
	ID      string
	JSON    bool
}

// parseQuery reads the parameters. It ignores parameters that it does not know.
func parseQuery(values url.Values) (query, error) {
	q := query{Search: strings.TrimSpace(values.Get("q")), ID: values.Get("id")}
	switch {
	case len(q.Search) > maxSearch:
		return query{}, fmt.Errorf("q: write at most %d bytes", maxSearch)
	case len(q.ID) > maxID:
		return query{}, fmt.Errorf("id: no identity has an id of this length")
	}
	var err error
	if q.JSON, err = choice(values, "format", "html", "json"); err != nil {
		return q, err
	}
	if q.Asc, err = choice(values, "order", "desc", "asc"); err != nil {
		return q, err
	}
	if q.Sort = values.Get("sort"); q.Sort == "" {
		q.Sort = defaultSort
	} else if !slices.ContainsFunc(columns, func(c column) bool { return c.Name == q.Sort }) {
		return q, fmt.Errorf("sort: there is no such column; there are %s", columnNames())
	}
	perPage := number{"n", defaultPerPage, 1, maxPerPage}
	if q.JSON {
		perPage = number{"n", 0, 0, 1 << 30}
	}
	for _, n := range []struct {
		to *int
		number
	}{
		{&q.Page, number{"page", 1, 1, 1 << 30}},
		{&q.PerPage, perPage},
		{&q.Refresh, number{"refresh", defaultRefresh, 0, maxRefresh}},
	} {
		if *n.to, err = n.in(values); err != nil {
			return q, err
		}
	}
	return q, nil
}

// choice reads a parameter with two values, and reports whether it has the second one, which is not the usual one.
func choice(values url.Values, name, usual, other string) (bool, error) {
	switch values.Get(name) {
	case "", usual:
		return false, nil
	case other:
		return true, nil
	}
	return false, fmt.Errorf("%s: write %s or %s", name, usual, other)
}

// number is a parameter that is a whole number.
type number struct {
	name            string
	usual, min, max int
}

func (n number) in(values url.Values) (int, error) {
	text := values.Get(n.name)
	if text == "" {
		return n.usual, nil
	}
	v, err := strconv.Atoi(text)
	if err != nil || v < n.min || v > n.max {
		return 0, fmt.Errorf("%s: write a whole number from %d to %d", n.name, n.min, n.max)
	}
	return v, nil
}

// link returns the query as a relative reference, so that it works under any prefix.
func (q query) link() string {
	values := url.Values{}
	set := func(name, value, usual string) {
		if value != usual {
			values.Set(name, value)
		}
	}
	setNumber := func(name string, value, usual int) { set(name, strconv.Itoa(value), strconv.Itoa(usual)) }
	set("q", q.Search, "")
	set("sort", q.Sort, defaultSort)
	if q.Asc {
		values.Set("order", "asc")
	}
	set("id", q.ID, "")
	setNumber("page", q.Page, 1)
	setNumber("refresh", q.Refresh, defaultRefresh)
	if q.JSON {
		values.Set("format", "json")
		setNumber("n", q.PerPage, 0)
	} else {
		setNumber("n", q.PerPage, defaultPerPage)
	}
	return "?" + values.Encode()
}

// The links of the page.

func (q query) OnPage(n int) string      { q.Page = n; return q.link() }
func (q query) Looking(id string) string { q.ID, q.Search, q.Page = id, "", 1; return q.link() }
func (q query) Overview() string         { q.ID = ""; return q.link() }
func (q query) Paused() string           { q.Refresh = 0; return q.link() }
func (q query) Refreshing() string       { q.Refresh = defaultRefresh; return q.link() }
func (q query) Unfiltered() string       { q.Search, q.Page = "", 1; return q.link() }
func (q query) Here() string             { return q.link() }

// SortedBy returns a link that sorts by a column. If the list is sorted by it already, the link reverses the order.
func (q query) SortedBy(name string) string {
	if q.Sort == name {
		q.Asc = !q.Asc
	} else {
		q.Sort, q.Asc = name, name == columnIdentity // the highest number first
	}
	q.Page = 1
	return q.link()
}

// AsJSON returns a link to the same report as JSON, with all identities.
func (q query) AsJSON() string {
	q.JSON, q.Page, q.PerPage, q.Refresh = true, 1, 0, defaultRefresh
	return q.link()
}
