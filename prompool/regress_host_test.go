package prompool_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/peerpool/peerpool"
	"github.com/peerpool/peerpool/prompool"
	"github.com/prometheus/client_golang/prometheus"
)

func TestAHostThatIsNoTextIsCountedAllTheSame(t *testing.T) {
	tr := &peerpool.Transport{}
	registry := prometheus.NewRegistry()
	registry.MustRegister(attach(tr, prompool.WithHosts(10)))
	u, err := url.Parse("http://%ff.test/") // which a redirect may lead to
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tr.RoundTrip(&http.Request{URL: u, Header: http.Header{}}); err == nil {
		t.Error("no error")
	}
	families, err := registry.Gather()
	if err != nil || len(families) == 0 {
		t.Errorf("%d metrics, %v", len(families), err)
	}
}
