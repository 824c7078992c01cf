package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// TestTheClientsWrittenInRustMeasure runs each of them once, over HTTP/1.1 with a body, and over HTTP/2.
func TestTheClientsWrittenInRustMeasure(t *testing.T) {
	program, err := filepath.Abs(filepath.Join(rustDir, "target", "release", "rustclients"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(program); err != nil {
		t.Skip("the clients written in Rust are not built; with cargo: cd bench/rust && cargo build --release --locked")
	}
	post := requestSpec{Method: http.MethodPost, Path: fewFields, Body: 64}
	for proto, spec := range map[string]requestSpec{
		"HTTP/1.1": post,
		"HTTP/2.0": {Method: http.MethodGet, Path: "/", TLS: true, HTTP2: true},
	} {
		c := requestComparison(proto, spec, 4, true)
		c.candidates = []candidate{netHTTP}
		r := runner{ctx: t.Context(), rounds: 1, rust: program, progress: newProgress(io.Discard, settings{})}
		found, err := r.compare(requestsSuite, c)
		if err != nil {
			t.Fatal(err)
		}
		for _, who := range rustClients {
			row, ok := found.row(who)
			if !ok || row.Error != "" || row.Protocol != proto || row.Figures["cpu"].Median <= 0 {
				t.Errorf("%s over %s: %+v", who, proto, row)
			}
		}
	}
}

func TestAReportNamesTheVersionsOfTheClientsWrittenInRust(t *testing.T) {
	versions := rustVersions()
	for _, who := range []candidate{pingora, hyperUtil, reqwest} {
		if versions[string(who)] == "" {
			t.Errorf("no version of %s", who)
		}
	}
}
