package docs_test

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/format"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/peerpool/peerpool"

// packages are those that blocks of Go may use without importing them, by name.
var packages = map[string]string{
	"peerpool": module, "otelpool": module + "/otelpool", "prompool": module + "/prompool", "logpool": module + "/logpool",
	"poolz": module + "/poolz", "allpool": module + "/allpool", "pool": module + "/pool", "httptestutil": module + "/httptest_util",

	"prometheus": "github.com/prometheus/client_golang/prometheus",
	"promhttp":   "github.com/prometheus/client_golang/prometheus/promhttp",
	"otel":       "go.opentelemetry.io/otel",
	"sdktrace":   "go.opentelemetry.io/otel/sdk/trace",
	"tracetest":  "go.opentelemetry.io/otel/sdk/trace/tracetest",
	"otelhttp":   "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp",

	"bytes": "bytes", "context": "context", "errors": "errors", "fmt": "fmt", "io": "io", "log": "log", "net": "net",
	"os": "os", "slog": "log/slog", "strings": "strings", "sync": "sync", "testing": "testing", "time": "time",
	"http": "net/http", "httptest": "net/http/httptest", "httptrace": "net/http/httptrace", "netip": "net/netip",
	"syscall": "syscall", "tls": "crypto/tls", "url": "net/url", "x509": "crypto/x509",
}

func TestEveryBlockOfGoCompiles(t *testing.T) {
	imports, fset := importPackages(t), token.NewFileSet()
	blocks := 0
	for _, doc := range documents(t) {
		for _, b := range doc.blocks {
			if b.language != "go" || b.from != "" {
				continue
			}
			blocks++
			if err := compile(fset, imports, b); err != nil {
				t.Errorf("%s:%d: %v", doc.path, b.line, err)
			}
		}
	}
	if blocks < 10 {
		t.Errorf("found %d blocks of Go, which cannot be all", blocks)
	}
}

// A block that uses another module quotes a program of examples, which is built and tested there.
func TestEveryQuotedBlockIsTheFile(t *testing.T) {
	quotes := 0
	for _, doc := range documents(t) {
		for _, b := range doc.blocks {
			if b.from == "" {
				continue
			}
			quotes++
			file, err := os.ReadFile("../" + b.from)
			if err != nil {
				t.Errorf("%s:%d: %v", doc.path, b.line, err)
			} else if _, code, _ := strings.Cut(string(file), "package main\n"); b.text != "package main\n"+code {
				t.Errorf("%s:%d: the block is not what %s holds after its comment", doc.path, b.line, b.from)
			}
		}
	}
	if quotes == 0 {
		t.Error("found no block that quotes a file")
	}
}

func TestABlockThatDoesNotCompileIsFound(t *testing.T) {
	imports, fset := importPackages(t), token.NewFileSet()
	for name, b := range map[string]block{
		"syntax":         {text: "client := &http.Client{"},
		"a field":        {text: "t := &peerpool.Transport{MaxConnReuses: 1}"},
		"a type":         {text: "var t http.RoundTripper = peerpool.Transport{}"},
		"an unknown":     {text: "client.Get(\"http://example.com/\")"},
		"a declaration":  {text: "func f() *peerpool.Peer { return peerpool.NewPeer(peerpool.PeerOptions{}) }"},
		"given, wrongly": {text: "client.Get()", given: "var client *http.Client"},
	} {
		if compile(fset, imports, b) == nil {
			t.Errorf("%s: no error", name)
		}
	}
	good := block{text: "resp, err := client.Get(\"\")\nif err != nil {\n\treturn err\n}", given: "var client *http.Client"}
	if err := compile(fset, imports, good); err != nil {
		t.Errorf("a good block: %v", err)
	}
}

// importPackages returns an importer of packages and of what they depend on, from what the toolchain has compiled.
func importPackages(t *testing.T) types.Importer {
	t.Helper()
	args := append([]string{"list", "-export", "-deps", "-f", "{{if .Export}}{{.ImportPath}}\t{{.Export}}{{end}}"},
		slices.Sorted(maps.Values(packages))...)
	var stderr bytes.Buffer
	cmd := exec.Command("go", args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.Bytes())
	}
	files := make(map[string]string)
	for line := range strings.Lines(string(out)) {
		if path, file, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok {
			files[path] = file
		}
	}
	return importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		file, ok := files[path]
		if !ok {
			return nil, fmt.Errorf("no compiled package %q", path)
		}
		return os.Open(file)
	})
}

var hasPackageClause = regexp.MustCompile(`(?m)^package `)

// compile checks a block, which may be a file, declarations, or the inside of a function that returns an error.
// A piece of code may declare variables and imports that it does not use.
func compile(fset *token.FileSet, imports types.Importer, b block) error {
	file, err := parser.ParseFile(fset, "", b.text, parser.SkipObjectResolution)
	if !hasPackageClause.MatchString(b.text) {
		clause := "package p\n" + importClause(b) + strings.ReplaceAll(b.given, "; ", "\n") + "\n"
		file, err = parser.ParseFile(fset, "", clause+b.text, parser.SkipObjectResolution)
		if err != nil {
			inside := "func _() error {\n" + b.text + "\npanic(0)\n}\n"
			file, err = parser.ParseFile(fset, "", clause+inside, parser.SkipObjectResolution)
		}
	}
	if err != nil {
		return err
	}
	var faults []error
	config := types.Config{Importer: imports, Error: func(err error) {
		if fault, ok := errors.AsType[types.Error](err); !ok || !fault.Soft {
			faults = append(faults, err)
		}
	}}
	config.Check("p", fset, []*ast.File{file}, nil)
	return errors.Join(faults...)
}

// importClause imports what a block seems to use.
func importClause(b block) string {
	var clause strings.Builder
	for name, path := range packages {
		if regexp.MustCompile(`\b` + name + `\.[A-Z]`).MatchString(b.text + b.given) {
			fmt.Fprintf(&clause, "import %s %q\n", name, path)
		}
	}
	return clause.String()
}

func TestEveryBlockOfGoIsFormatted(t *testing.T) {
	for _, doc := range documents(t) {
		for _, b := range doc.blocks {
			if b.language != "go" {
				continue
			}
			if formatted, err := format.Source([]byte(b.text)); err != nil || string(formatted) != b.text {
				t.Errorf("%s:%d: gofmt would write (%v)\n%s", doc.path, b.line, err, formatted)
			}
		}
	}
}
