package testkit

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
)

// Prometheus is a Prometheus that runs until its test ends.
type Prometheus struct{ url string }

// Sample is one value that a query has returned.
type Sample struct {
	Labels map[string]string
	Value  string
}

// RunPrometheus runs the installed Prometheus, with native histograms and exemplars. config is its configuration. files
// holds, by name, the contents of files that config may name. They lie beside the configuration.
func RunPrometheus(t *testing.T, config string, files map[string]string) *Prometheus {
	t.Helper()
	program := Installed(t, "prometheus")
	path := ConfigFile(t, "prometheus.yml", config)
	dir := filepath.Dir(path)
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	addr := FreeAddr(t)
	RunServer(t, addr, program, "--config.file="+path, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+addr, "--enable-feature=native-histograms,exemplar-storage", "--log.level=warn")
	return &Prometheus{"http://" + addr}
}

// Query returns the present value of an expression.
func (p *Prometheus) Query(expr string) ([]Sample, error) {
	resp, err := http.Get(p.url + "/api/v1/query?query=" + url.QueryEscape(expr))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Status string
		Data   struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Status != "success" {
		return nil, fmt.Errorf("%s: %.200s (%w)", resp.Status, body, err)
	}
	var samples []Sample
	for _, r := range answer.Data.Result {
		samples = append(samples, Sample{r.Metric, fmt.Sprint(r.Value[1])})
	}
	return samples, nil
}
