//go:build !race

// The race detector makes sixteen Transports at once too slow for alerts whose time is shortened.

package contrib_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/testkit"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// haste is how many times faster time passes for the rules of the alerts in this test than in production.
// prometheus/alerts_test.yml tests the rules with their real times.
const haste = 100

// hasten divides by haste the times in the rules: those of ranges and of "for".
func hasten(rules string) string {
	minutes := regexp.MustCompile(`(\[|for: )(\d+)m`)
	return minutes.ReplaceAllStringFunc(rules, func(text string) string {
		m := minutes.FindStringSubmatch(text)
		n, _ := strconv.Atoi(m[2]) // digits
		return fmt.Sprintf("%s%dms", m[1], time.Duration(n)*time.Minute/haste/time.Millisecond)
	})
}

// watcher is a Prometheus that scrapes all stages, each as a job, and knows the alerts.
type watcher struct {
	t *testing.T
	*testkit.Prometheus
}

func watch(t *testing.T, stages []*stage) watcher {
	t.Helper()
	mux := http.NewServeMux()
	pages := httptest.NewServer(mux)
	t.Cleanup(pages.Close)
	every := func(pace time.Duration) string { return fmt.Sprintf("%dms", pace/haste/time.Millisecond) }
	config := fmt.Sprintf(`
global: {scrape_interval: %[1]s, scrape_timeout: %[1]s, evaluation_interval: %[2]s}
rule_files: [alerts.yml]
scrape_configs:`, every(30*time.Second), every(time.Minute))
	for _, s := range stages {
		path := "/" + s.name
		mux.Handle(path, promhttp.HandlerFor(s.metrics, promhttp.HandlerOpts{EnableOpenMetrics: true}))
		config += fmt.Sprintf("\n- {job_name: %q, metrics_path: %q, static_configs: [{targets: [%q]}]}",
			s.name, path, strings.TrimPrefix(pages.URL, "http://"))
	}
	rules, err := os.ReadFile(alerts)
	if err != nil {
		t.Fatal(err)
	}
	return watcher{t, testkit.RunPrometheus(t, config, map[string]string{"alerts.yml": hasten(string(rules))})}
}

// firing returns the alerts of each pool, without "Peerpool": those that fire now, or that have fired in a time.
func (w watcher) firing(in string) map[string][]string {
	w.t.Helper()
	expr := `ALERTS{alertstate="firing"}`
	if in != "" {
		expr = "max_over_time(" + expr + "[" + in + "])"
	}
	samples, err := w.Query(expr)
	if err != nil {
		w.t.Fatal(err)
	}
	fire := make(map[string][]string)
	for _, s := range samples {
		pool := s.Labels["pool"]
		fire[pool] = append(fire[pool], strings.TrimPrefix(s.Labels["alertname"], "Peerpool"))
	}
	for pool := range fire {
		slices.Sort(fire[pool])
		fire[pool] = slices.Compact(fire[pool])
	}
	return fire
}

// answersTheDashboard sends every query of the dashboard as Grafana would, with that value for the variable job, and with
// all values of the other variables chosen. It checks that each query has a result.
func (w watcher) answersTheDashboard(job string) {
	w.t.Helper()
	grafana := strings.NewReplacer("$job", job, "$instance", ".*", "$pool", ".*", "$__rate_interval", "30s")
	for _, expr := range expressions(w.t) {
		expr = grafana.Replace(expr)
		if !until(httptestutil.Bound, func() bool { // a scrape that came late leaves a gap
			samples, err := w.Query(expr)
			return err == nil && len(samples) > 0
		}) {
			w.t.Errorf("%s has no answer", expr)
		}
	}
}

// TestEachIncidentShowsItselfAndNothingElse plays all incidents at once, each with a Transport of its own. It begins in good
// health, lasts until every alert that is to fire does and each other one would have had the time to, and ends when none
// fires any more.
//
// On a machine that is short of processor time, requests wait and time out in every play. An incident must then show all that
// it has to show, and may show more. prometheus/alerts_test.yml holds the alerts in either direction on every machine.
func TestEachIncidentShowsItselfAndNothingElse(t *testing.T) {
	all := slices.Concat(incidents, others)
	stages := make([]*stage, len(all))
	calls := make([]func(context.Context), len(all))
	for i := range all {
		stages[i] = newStage(t, all[i].slug())
		calls[i] = all[i].play(stages[i])
	}
	w := watch(t, stages)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	keptUp := testkit.Lateness(t)
	for i, inc := range all {
		running.Go(func() {
			stages[i].run(ctx, cmp.Or(inc.callers, 3), cmp.Or(inc.pause, 50*time.Millisecond), calls[i])
		})
	}

	scraped := func(n int) bool {
		samples, err := w.Query(`min(count_over_time(peerpool_connections{state="idle"}[1h]))`)
		return err == nil && len(samples) == 1 && atLeast(samples[0].Value, n)
	}
	if !until(6*httptestutil.Bound, func() bool { return scraped(3) }) {
		t.Fatal("Prometheus does not scrape the metrics")
	}
	for _, s := range stages {
		s.broken.Store(true)
	}
	pages := watchPages(stages, 2*15*time.Minute/haste) // the longest alert looks back so far, and waits for as long
	fire := func() bool {
		firing := w.firing("1h")
		return !slices.ContainsFunc(all, func(i incident) bool { return !containsAll(firing[i.slug()], i.alerts) })
	}
	if !until(3*httptestutil.Bound, fire) {
		t.Error("not every alert that should fire has")
	}
	for _, job := range []string{".*", "good-health"} { // a panel without a line would look broken
		w.answersTheDashboard(job)
	}
	for _, s := range stages {
		s.broken.Store(false)
	}
	if !until(6*httptestutil.Bound, func() bool { return len(w.firing("")) == 0 }) {
		t.Errorf("these alerts still fire when their incidents are over: %v", w.firing(""))
	}

	fired := w.firing("1h")
	shows := same
	if !keptUp() {
		shows = includes
	}
	for i, inc := range all {
		t.Run(inc.name, func(t *testing.T) {
			shows(t, "the alerts", fired[inc.slug()], inc.alerts)
			shows(t, "the log", without(stages[i].log.all(), inc.chance), inc.log)
			shows(t, "the page", without(pages[i], inc.chance), inc.page)
			shows(t, "the trace", without(stages[i].trace.all(), inc.chance), inc.trace)
		})
	}
}

// watchPages looks at the pages of all stages for a time, and returns what they have said. That requests wait counts only
// if the page said so nearly all the time.
func watchPages(stages []*stage, long time.Duration) [][]string {
	said := make([]map[string]int, len(stages))
	for i := range said {
		said[i] = make(map[string]int)
	}
	looks := 0
	until(long, func() bool {
		looks++
		for i, s := range stages {
			for _, fact := range s.pageFacts() {
				said[i][fact]++
			}
		}
		return false
	})
	pages := make([][]string, len(stages))
	for i := range pages {
		if said[i][waiting] <= looks*9/10 {
			delete(said[i], waiting)
		}
		pages[i] = slices.Collect(maps.Keys(said[i]))
	}
	return pages
}

func atLeast(value string, n int) bool {
	got, err := strconv.ParseFloat(value, 64)
	return err == nil && got >= float64(n)
}

func containsAll(all, some []string) bool {
	return !slices.ContainsFunc(some, func(s string) bool { return !slices.Contains(all, s) })
}

func without(all, some []string) []string {
	return slices.DeleteFunc(all, func(s string) bool { return slices.Contains(some, s) })
}

// includes checks that a list has all of another one.
func includes(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !containsAll(got, want) {
		t.Errorf("%s: %q, want at least %q", what, got, want)
	}
}

// same compares two lists that are in no order.
func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}
