package contrib_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/peerpool/peerpool/internal/testkit"
	dto "github.com/prometheus/client_model/go"
)

const (
	alerts     = "prometheus/alerts.yml"
	alertTests = "prometheus/alerts_test.yml"
	dashboard  = "grafana/peerpool.json"
)

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// expressions returns the queries of the dashboard.
func expressions(t *testing.T) []string {
	t.Helper()
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(readFile(t, dashboard)), &board); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, p := range board.Panels {
		if len(p.Targets) == 0 {
			t.Errorf("the panel %q shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			all = append(all, target.Expr)
		}
	}
	return all
}

var (
	selector = regexp.MustCompile(`\b(peerpool_[a-z_]+)(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`(\w+)(=~|!=|=)"([^"]*)"`)
)

// used returns the metrics in a query, and reports an error for each name that is not a metric.
func used(t *testing.T, where, query string, families map[string]*dto.MetricFamily) (names []string) {
	t.Helper()
	for _, s := range selector.FindAllStringSubmatch(query, -1) {
		name := s[1]
		if families[name] == nil {
			name = strings.TrimSuffix(name, "_bucket")
		}
		family := families[name]
		if family == nil || name != s[1] && family.GetType() != dto.MetricType_HISTOGRAM {
			t.Errorf("%s: there is no metric %s", where, s[1])
			continue
		}
		names = append(names, name)
		for _, m := range matcher.FindAllStringSubmatch(s[2], -1) {
			if m[1] == "job" || m[1] == "instance" { // Prometheus adds these
				continue
			}
			values := valuesOf(family)[m[1]]
			if values == nil || m[2] == "=" && m[1] != "pool" && !values[m[3]] {
				t.Errorf("%s: %s has no %s", where, name, m[0])
			}
		}
	}
	return names
}

// valuesOf returns the values that the labels of a metric have.
func valuesOf(family *dto.MetricFamily) map[string]map[string]bool {
	all := map[string]map[string]bool{}
	for _, m := range family.GetMetric() {
		for _, l := range m.GetLabel() {
			if all[l.GetName()] == nil {
				all[l.GetName()] = map[string]bool{}
			}
			all[l.GetName()][l.GetValue()] = true
		}
	}
	return all
}

func TestTheDashboardShowsEveryMetricAndNoOther(t *testing.T) {
	families := everything(t).families
	shown := map[string]bool{}
	for _, query := range expressions(t) {
		for _, name := range used(t, dashboard, query, families) {
			shown[name] = true
		}
	}
	for name := range families {
		if !shown[name] {
			t.Errorf("%s is on no panel: add it to contrib/grafana", name)
		}
	}
}

func TestTheAlertsAreAboutMetricsThatExist(t *testing.T) {
	families := everything(t).families
	for _, path := range []string{alerts, alertTests} {
		var n int
		for _, line := range strings.Split(readFile(t, path), "\n") {
			n += len(used(t, path, line, families))
		}
		if n < 6 {
			t.Errorf("%s speaks of %d metrics", path, n)
		}
	}
}

func TestEachAlertHasALineOfWhatToDo(t *testing.T) {
	text := readFile(t, docs)
	found := regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(readFile(t, alerts), -1)
	for _, alert := range found {
		if !strings.Contains(text, "\n| `"+alert[1]+"` |") {
			t.Errorf("docs/observability.md does not say what to do about %s", alert[1])
		}
	}
	if n := strings.Count(text, "\n| `Peerpool"); n != len(found) {
		t.Errorf("docs/observability.md has %d alerts, and there are %d", n, len(found))
	}
}

func TestPromtoolAcceptsTheAlertsAndTheirTests(t *testing.T) {
	promtool := testkit.Installed(t, "promtool")
	for _, args := range [][]string{{"check", "rules", alerts}, {"test", "rules", alertTests}} {
		if out, err := exec.Command(promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
