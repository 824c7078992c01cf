package report

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/peerpool/peerpool"
)

// serve starts a server that answers with an empty page.
func serve(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(s.Close)
	return s.URL
}

// get sends n requests, one after the other.
func get(n int, url string) func(context.Context, *Meter) error {
	return func(ctx context.Context, m *Meter) error {
		client := &http.Client{Transport: m}
		for range n {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err != nil {
				return err
			}
			resp, err := client.Do(req)
			if err != nil {
				return err
			}
			if err := resp.Body.Close(); err != nil {
				return err
			}
		}
		return nil
	}
}

func TestTheSameWorkIsCountedAlikeForBothTransports(t *testing.T) {
	results, err := Compare(t.Context(), t.Output(), get(5, serve(t)), NetHTTP(), Peerpool())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Requests != 5 || r.Connections != 1 || r.Attempts != 5 || r.Reused != 4 || r.Retries != 0 || r.Failed != 0 {
			t.Errorf("%+v", r)
		}
		if r.HitRatio() != 0.8 {
			t.Errorf("%s: the hit ratio is %v", r.Name, r.HitRatio())
		}
	}
	if results[0].Pool != nil || results[1].Pool == nil || results[1].Pool.Hits != 4 {
		t.Errorf("%+v", results)
	}
}

func TestConnectionsThatAreNotKeptAreCounted(t *testing.T) {
	m := Of("peerpool", &peerpool.Transport{DisableKeepAlives: true})
	if err := get(3, serve(t))(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if r := m.Result(); r.Connections != 3 || r.Reused != 0 || r.HitRatio() != 0 {
		t.Errorf("%+v", r)
	}
}

func TestARequestThatFailsIsCountedAsFailed(t *testing.T) {
	m := Peerpool()
	if err := get(1, "http://127.0.0.1:1/")(t.Context(), m); err == nil {
		t.Fatal("somebody listens on port 1")
	}
	if r := m.Result(); r.Requests != 1 || r.Failed != 1 || r.HitRatio() != 0 {
		t.Errorf("%+v", r)
	}
}

func TestTheReportHasALineForEachAndWhatThePoolDid(t *testing.T) {
	var b strings.Builder
	err := Print(&b,
		Result{Name: "net/http", Requests: 4, Connections: 2, Attempts: 4, Reused: 2},
		Result{Name: "peerpool", Requests: 4, Connections: 1, Attempts: 4, Reused: 3, Pool: &peerpool.Stats{
			Opened: 1, Idle: 1, Hits: 3, Misses: map[peerpool.MissReason]uint64{"cold": 1, "busy": 0},
		}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"50.0 %", "75.0 %", "1 idle", "misses   1 cold\n", "closed   none\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, &b)
		}
	}
}

func TestEachDoesEveryNumberOnce(t *testing.T) {
	var done [100]atomic.Int64
	err := Each(t.Context(), 7, len(done), func(_ context.Context, i int) error {
		done[i].Add(1)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range done {
		if n := done[i].Load(); n != 1 {
			t.Errorf("%d was done %d times", i, n)
		}
	}
}

func TestEachEndsWithTheFirstError(t *testing.T) {
	broken := errors.New("broken")
	var begun atomic.Int64
	err := Each(t.Context(), 1, 100, func(_ context.Context, i int) error {
		begun.Add(1)
		if i == 3 {
			return broken
		}
		return nil
	})
	if err != broken || begun.Load() != 4 {
		t.Errorf("%v after %d", err, begun.Load())
	}
}

func TestEachEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	err := Each(ctx, 2, 100, func(context.Context, int) error {
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
