// Package contrib_test holds the dashboard, the alerts and the documentation of what can be observed against the
// code.
package contrib_test

import (
	"flag"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/peerpool/peerpool"
	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

var update = flag.Bool("update", false, "write the tables of docs/observability.md anew")

const docs = "../docs/observability.md"

// The tables of docs/observability.md stand between <!-- table: name --> and <!-- end -->.
func TestTheDocumentationListsWhatThereIs(t *testing.T) {
	s := everything(t)
	text := readFile(t, docs)
	for name, rows := range map[string][]string{
		"prompool": promRows(s), "otel metrics": otelRows(s), "otel spans": spanRows(s), "otel events": eventRows(s),
		"incidents": incidentRows(),
	} {
		block := regexp.MustCompile(`(?s)(<!-- table: ` + name + ` -->\n)(.*?)(<!-- end -->)`)
		found := block.FindStringSubmatch(text)
		if found == nil {
			t.Errorf("there is no table %q", name)
			continue
		}
		want := strings.Join(rows, "\n") + "\n"
		if found[2] == want {
			continue
		}
		if !*update {
			t.Errorf("table %q is not what the code says; go test ./contrib -update writes it anew\ngot:\n%swant:\n%s", name, found[2], want)
		}
		text = block.ReplaceAllLiteralString(text, found[1]+want+found[3])
	}
	if *update {
		if err := os.WriteFile(docs, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func row(cells ...string) string { return "| " + strings.Join(cells, " | ") + " |" }

// table returns a table with a head and rows, the latter in order.
func table(rows []string, head ...string) []string {
	slices.Sort(rows)
	rule := strings.TrimSuffix(strings.Repeat("|---", len(head)), "") + "|"
	return append([]string{row(head...), rule}, rows...)
}

// quoted returns names in backquotes, in order.
func quoted(names map[string]bool) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		all = append(all, "`"+name+"`")
	}
	return strings.Join(all, " ")
}

func promRows(s seen) []string {
	var rows []string
	for name, family := range s.families {
		labels := map[string]bool{}
		for label := range valuesOf(family) {
			labels[label] = true
		}
		kind := strings.ToLower(dto.MetricType_name[int32(family.GetType())])
		rows = append(rows, row("`"+name+"`", kind, quoted(labels), family.GetHelp()))
	}
	return table(rows, "metric", "type", "labels", "meaning")
}

func otelRows(s seen) []string {
	var rows []string
	for _, m := range s.metrics {
		kind, keys := "", map[string]bool{}
		add := func(set attribute.Set) {
			for _, kv := range set.ToSlice() {
				keys[string(kv.Key)] = true
			}
		}
		switch data := m.Data.(type) {
		case metricdata.Sum[int64]:
			kind = "up-down counter"
			if data.IsMonotonic {
				kind = "counter"
			}
			for _, p := range data.DataPoints {
				add(p.Attributes)
			}
		case metricdata.Histogram[int64]:
			kind = "histogram"
			for _, p := range data.DataPoints {
				add(p.Attributes)
			}
		case metricdata.Histogram[float64]:
			kind = "histogram"
			for _, p := range data.DataPoints {
				add(p.Attributes)
			}
		}
		rows = append(rows, row("`"+m.Name+"`", kind, "`"+m.Unit+"`", quoted(keys), m.Description))
	}
	return table(rows, "metric", "instrument", "unit", "attributes", "meaning")
}

// incidentRows returns what TestEachIncidentShowsItselfAndNothingElse has seen, in the order of the incidents.
func incidentRows() []string {
	rows := table(nil, "incident", "alerts", "log", "page", "trace")
	for _, i := range incidents {
		var alerts []string
		for _, alert := range i.alerts {
			alerts = append(alerts, "`Peerpool"+alert+"`")
		}
		rows = append(rows, row(i.name, strings.Join(alerts, "<br>"), lines(i.log), lines(i.page), lines(i.trace)))
	}
	return rows
}

// lines puts texts one below the other into a cell.
func lines(texts []string) string {
	if len(texts) == 0 {
		return "nothing"
	}
	return "`" + strings.Join(texts, "`<br>`") + "`"
}

// spanRows lists spans without what follows the last space of their names: of what they are.
func spanRows(s seen) []string {
	keys := map[string]map[string]bool{}
	for _, span := range s.spans {
		if span.Name != "request" {
			gather(keys, span.Name[:strings.LastIndex(span.Name, " ")], span.Attributes)
		}
	}
	return keyRows(keys, "span")
}

func eventRows(s seen) []string {
	keys := map[string]map[string]bool{}
	for _, span := range s.spans {
		for _, e := range span.Events {
			gather(keys, e.Name, e.Attributes)
		}
	}
	return keyRows(keys, "event")
}

func gather(keys map[string]map[string]bool, name string, attrs []attribute.KeyValue) {
	if keys[name] == nil {
		keys[name] = map[string]bool{}
	}
	for _, kv := range attrs {
		keys[name][string(kv.Key)] = true
	}
}

func keyRows(keys map[string]map[string]bool, what string) []string {
	var rows []string
	for name, attrs := range keys {
		rows = append(rows, row("`"+name+"`", quoted(attrs)))
	}
	return table(rows, what, "attributes")
}

// The meanings of reasons are written by hand, so that only the reasons themselves are compared.
func TestTheDocumentationExplainsEveryReason(t *testing.T) {
	text := readFile(t, docs)
	for name, reasons := range map[string][]string{
		"miss reasons":  texts(peerpool.MissReasons()),
		"time limits":   texts(peerpool.TimeLimits()),
		"close reasons": texts(peerpool.CloseReasons()),
		"retry reasons": texts(peerpool.RetryReasons()),
	} {
		_, rest, found := strings.Cut(text, "<!-- "+name+" -->\n")
		list, _, ended := strings.Cut(rest, "<!-- end -->")
		if !found || !ended {
			t.Errorf("there are no %s", name)
			continue
		}
		var explained []string
		for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| [^|]+ \\|$").FindAllStringSubmatch(list, -1) {
			explained = append(explained, m[1])
		}
		for _, reason := range reasons {
			if !slices.Contains(explained, reason) {
				t.Errorf("%q has no row: add one to the %s of docs/observability.md", reason, name)
			}
		}
		for _, reason := range explained {
			if !slices.Contains(reasons, reason) {
				t.Errorf("%q is explained among the %s of docs/observability.md, and the code does not have it any more", reason, name)
			}
		}
	}
}

func texts[S ~string](reasons []S) (all []string) {
	for _, reason := range reasons {
		all = append(all, string(reason))
	}
	return all
}
