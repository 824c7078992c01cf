package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/peerpool/peerpool"
	"github.com/peerpool/peerpool/examples/internal/report"
)

// workload says how many queries to send.
type workload struct {
	queries int
	workers int // queries at a time
}

// newClient returns an API client that uses the given RoundTripper. Nothing else is needed.
func newClient(url string, rt http.RoundTripper) (promv1.API, error) {
	client, err := api.NewClient(api.Config{Address: url, RoundTripper: rt})
	if err != nil {
		return nil, err
	}
	return promv1.NewAPI(client), nil
}

// run sends instant queries, queries over a range of time, and look-ups of series, in turn.
func (l workload) run(ctx context.Context, url string, rt http.RoundTripper) error {
	client, err := newClient(url, rt)
	if err != nil {
		return err
	}
	return report.Each(ctx, l.workers, l.queries, func(ctx context.Context, i int) error {
		return query(ctx, client, i)
	})
}

func query(ctx context.Context, client promv1.API, i int) error {
	now := time.Now()
	switch i % 3 {
	case 0:
		value, _, _, err := client.Query(ctx, fmt.Sprintf("vector(%d) + 1", i), now)
		if err != nil {
			return err
		}
		return expect(value, i+1)
	case 1:
		_, _, _, err := client.QueryRange(ctx, "rate(peerpool_dials_total[1m])",
			promv1.Range{Start: now.Add(-time.Minute), End: now, Step: time.Second})
		return err
	default:
		_, _, _, err := client.Series(ctx, []string{`{job="example"}`}, now.Add(-time.Minute), now)
		return err
	}
}

// expect returns an error unless the answer to a query is one number, and the expected one.
func expect(value model.Value, want int) error {
	vector, ok := value.(model.Vector)
	if !ok || len(vector) != 1 || int(vector[0].Value) != want {
		return fmt.Errorf("the answer is %v, not %d", value, want)
	}
	return nil
}

// scraped holds the values that Prometheus has, by the name of the metric with its labels.
type scraped map[string]float64

func (s scraped) String() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(s)) {
		fmt.Fprintf(&b, "  %-60s %v\n", name, s[name])
	}
	return b.String()
}

// awaitScrape queries Prometheus until it has scraped the latest values of the Transport, and returns them. It uses another
// client, so that its queries do not change these values.
func awaitScrape(ctx context.Context, url string, done *peerpool.Stats) (scraped, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	client, err := newClient(url, http.DefaultTransport)
	if err != nil {
		return nil, err
	}
	hits := float64(done.Hits)
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		all, err := ask(ctx, client)
		if err != nil {
			return nil, err
		}
		if all[`peerpool_acquires_total{outcome="hit"}`] >= hits {
			return all, nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return all, fmt.Errorf("prometheus has not scraped %v hits, but\n%s: %w", hits, all, ctx.Err())
		}
	}
}

// ask queries the values of peerpool's counters.
func ask(ctx context.Context, client promv1.API) (scraped, error) {
	const expression = `{__name__=~"peerpool_(acquires_total|connections_opened_total|connections_closed_total|misses_total|retries_total)"} > 0`
	value, _, _, err := client.Query(ctx, expression, time.Now())
	if err != nil {
		return nil, err
	}
	vector, ok := value.(model.Vector)
	if !ok {
		return nil, fmt.Errorf("the answer is a %T", value)
	}
	all := make(scraped)
	for _, sample := range vector {
		for _, label := range []model.LabelName{"job", "instance", "pool"} { // there is one of each
			delete(sample.Metric, label)
		}
		all[sample.Metric.String()] = float64(sample.Value)
	}
	return all, nil
}
