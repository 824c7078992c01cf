package contrib_test

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// board is the part of Grafana's schema of dashboards that the dashboard uses. Decoding into it shows a field that is
// misspelled or of a wrong type.
type board struct {
	Title         string     `json:"title"`
	UID           string     `json:"uid"`
	Tags          []string   `json:"tags"`
	SchemaVersion int        `json:"schemaVersion"`
	Version       int        `json:"version"`
	Editable      bool       `json:"editable"`
	Time          span       `json:"time"`
	Refresh       string     `json:"refresh"`
	Templating    templating `json:"templating"`
	Panels        []panel    `json:"panels"`
}

type span struct {
	From string `json:"from"`
	To   string `json:"to"`
}

type templating struct {
	List []variable `json:"list"`
}

type variable struct {
	Name       string          `json:"name"`
	Label      string          `json:"label"`
	Type       string          `json:"type"`
	Datasource *datasource     `json:"datasource"`
	Query      json.RawMessage `json:"query"` // a text for the type datasource, a query for the type query
	Refresh    int             `json:"refresh"`
	IncludeAll bool            `json:"includeAll"`
	Multi      bool            `json:"multi"`
	AllValue   string          `json:"allValue"`
	Current    *struct {
		Text  string `json:"text"`
		Value string `json:"value"`
	} `json:"current"`
}

type datasource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

type panel struct {
	ID          int        `json:"id"`
	Type        string     `json:"type"`
	Title       string     `json:"title"`
	Description string     `json:"description"`
	Datasource  datasource `json:"datasource"`
	GridPos     struct {
		H int `json:"h"`
		W int `json:"w"`
		X int `json:"x"`
		Y int `json:"y"`
	} `json:"gridPos"`
	FieldConfig struct {
		Defaults struct {
			Unit string   `json:"unit"`
			Min  *float64 `json:"min"`
			Max  *float64 `json:"max"`
		} `json:"defaults"`
		Overrides []any `json:"overrides"`
	} `json:"fieldConfig"`
	Options struct {
		Legend struct {
			DisplayMode string `json:"displayMode"`
			Placement   string `json:"placement"`
		} `json:"legend"`
		Tooltip struct {
			Mode string `json:"mode"`
		} `json:"tooltip"`
	} `json:"options"`
	Targets []target `json:"targets"`
}

type target struct {
	RefID        string     `json:"refId"`
	Datasource   datasource `json:"datasource"`
	Expr         string     `json:"expr"`
	LegendFormat string     `json:"legendFormat"`
}

// chosen is the data source that the user of the dashboard has chosen.
var chosen = datasource{Type: "prometheus", UID: "${datasource}"}

func readBoard(t *testing.T) board {
	t.Helper()
	data, err := os.ReadFile(dashboard)
	if err != nil {
		t.Fatal(err)
	}
	var b board
	strict := json.NewDecoder(bytes.NewReader(data))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&b); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTheDashboardHasTheFormOfGrafana(t *testing.T) {
	b := readBoard(t)
	if b.Title == "" || b.UID == "" || b.SchemaVersion < 36 || b.Time != (span{"now-1h", "now"}) {
		t.Errorf("the dashboard is %q %q, schema %d, %v", b.Title, b.UID, b.SchemaVersion, b.Time)
	}
	ids := make(map[int]bool)
	cells := make(map[[2]int]string) // 24 wide
	for _, p := range b.Panels {
		if ids[p.ID] || p.ID <= 0 {
			t.Errorf("panel %q: another panel has the id %d, or it is none", p.Title, p.ID)
		}
		ids[p.ID] = true
		if p.Type != "timeseries" || p.Title == "" || p.Datasource != chosen {
			t.Errorf("panel %d is a %s called %q over %v", p.ID, p.Type, p.Title, p.Datasource)
		}
		if units := []string{"short", "reqps", "cps", "ops", "s", "percentunit"}; !slices.Contains(units, p.FieldConfig.Defaults.Unit) {
			t.Errorf("panel %q has the unit %q", p.Title, p.FieldConfig.Defaults.Unit)
		}
		at := p.GridPos
		if at.W <= 0 || at.H <= 0 || at.X < 0 || at.X+at.W > 24 {
			t.Errorf("panel %q is at %v", p.Title, at)
		}
		for x := at.X; x < at.X+at.W; x++ {
			for y := at.Y; y < at.Y+at.H; y++ {
				if under := cells[[2]int{x, y}]; under != "" && under != p.Title {
					t.Fatalf("panel %q lies over %q", p.Title, under)
				}
				cells[[2]int{x, y}] = p.Title
			}
		}
		checkTargets(t, p)
	}
}

func checkTargets(t *testing.T, p panel) {
	t.Helper()
	refs, legends := make(map[string]bool), make(map[string]bool)
	for _, q := range p.Targets {
		if q.RefID == "" || refs[q.RefID] || q.Datasource != chosen || q.LegendFormat == "" || legends[q.LegendFormat] {
			t.Errorf("panel %q has the query %+v", p.Title, q)
		}
		refs[q.RefID], legends[q.LegendFormat] = true, true
		for _, label := range regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(q.LegendFormat, -1) {
			if !slices.Contains(kept(q.Expr), label[1]) {
				t.Errorf("panel %q names its lines by %s, which %s does not keep", p.Title, label[1], q.Expr)
			}
		}
		for _, label := range kept(q.Expr) {
			if label != "le" && !strings.Contains(q.LegendFormat, "{{"+label+"}}") {
				t.Errorf("panel %q has lines with the same name, because %q does not show %s", p.Title, q.LegendFormat, label)
			}
		}
	}
}

// kept returns the labels by which a query sums up.
func kept(expr string) (labels []string) {
	for _, by := range regexp.MustCompile(`sum by \(([^)]*)\)`).FindAllStringSubmatch(expr, -1) {
		for label := range strings.SplitSeq(by[1], ",") {
			if label = strings.TrimSpace(label); !slices.Contains(labels, label) {
				labels = append(labels, label)
			}
		}
	}
	return labels
}

// Each variable but the data source has the values that the metrics have for those before it. Each selector of a query uses
// all of them.
func TestTheVariablesOfTheDashboardNarrowItsQueriesDown(t *testing.T) {
	b := readBoard(t)
	var names []string
	for i, v := range b.Templating.List {
		if i == 0 {
			if v.Name != "datasource" || v.Type != "datasource" || string(v.Query) != `"prometheus"` {
				t.Errorf("the first variable is %q, a %s of %s", v.Name, v.Type, v.Query)
			}
			continue
		}
		var query struct{ Query, RefID string }
		if err := json.Unmarshal(v.Query, &query); err != nil {
			t.Errorf("variable %s: %v", v.Name, err)
		}
		var before []string
		for _, name := range names {
			before = append(before, name+`=~"$`+name+`"`)
		}
		of := "peerpool_connections"
		if len(before) > 0 {
			of += "{" + strings.Join(before, ",") + "}"
		}
		if want := "label_values(" + of + ", " + v.Name + ")"; query.Query != want || query.RefID == "" {
			t.Errorf("variable %s has the query %q, want %q", v.Name, query.Query, want)
		}
		if v.Type != "query" || v.Datasource == nil || *v.Datasource != chosen || !v.IncludeAll || v.AllValue != ".*" ||
			v.Current == nil || v.Current.Value != "$__all" {
			t.Errorf("variable %+v", v)
		}
		names = append(names, v.Name)
	}
	if want := []string{"job", "instance", "pool"}; !slices.Equal(names, want) {
		t.Errorf("the variables are %q, want %q", names, want)
	}
	for _, expr := range expressions(t) {
		for _, s := range regexp.MustCompile(`\bpeerpool_[a-z_]+(\{[^}]*\})?`).FindAllStringSubmatch(expr, -1) {
			if !strings.HasPrefix(s[1], `{job=~"$job",instance=~"$instance",pool=~"$pool"`) {
				t.Errorf("%s in %s cannot be narrowed down", s[0], expr)
			}
		}
	}
}
