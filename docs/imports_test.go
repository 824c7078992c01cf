package docs_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// importsOf maps each package of the module, by its path below the module ("." is the root), to what its files import,
// on any system. Tests do not count, and the nested modules are modules of their own.
func importsOf(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	files := token.NewFileSet()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		dir, name := filepath.ToSlash(filepath.Dir(path)), d.Name()
		if d.IsDir() {
			if path != ".." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "bench" || name == "examples") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(files, path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		pkg := "."
		if rest, below := strings.CutPrefix(dir, "../"); below {
			pkg = rest
		}
		for _, spec := range f.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if imported == module {
				imported = module + "/."
			}
			if !slices.Contains(all[pkg], imported) {
				all[pkg] = append(all[pkg], imported)
			}
		}
		if all[pkg] == nil {
			all[pkg] = []string{}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// ours returns the packages of the module among imports, as the table writes them.
func ours(imports []string) []string {
	var found []string
	for _, imported := range imports {
		if rest, is := strings.CutPrefix(imported, module+"/"); is {
			if rest == "." {
				rest = "peerpool"
			}
			found = append(found, rest)
		}
	}
	slices.Sort(found)
	return found
}

var inBackquotes = regexp.MustCompile("`([^`]+)`")

// The table of packages in the architecture names every package and all that it imports of the others, no more and no
// less. So an import that crosses a layer shows up as a change of the document.
func TestTheTableOfPackagesSaysWhatEachImports(t *testing.T) {
	stated := map[string][]string{}
	_, section, _ := strings.Cut(documentAt(t, "docs/architecture.md").prose, "\n## Packages\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 6 || !strings.HasPrefix(cells[1], " `") {
			continue
		}
		imports := []string{}
		for _, m := range inBackquotes.FindAllStringSubmatch(cells[4], -1) {
			imports = append(imports, m[1])
		}
		slices.Sort(imports)
		for _, m := range inBackquotes.FindAllStringSubmatch(cells[1], -1) {
			stated[m[1]] = imports
		}
	}
	for pkg, imports := range importsOf(t) {
		if pkg == "." {
			pkg = "peerpool"
		}
		want, has := stated[pkg]
		if got := ours(imports); !has {
			t.Errorf("%s has no row: add one to the table of packages in docs/architecture.md", pkg)
		} else if !slices.Equal(got, want) {
			t.Errorf("%s imports %q; docs/architecture.md says %q", pkg, got, want)
		}
		delete(stated, pkg)
	}
	for pkg := range stated {
		t.Errorf("docs/architecture.md has a row for %s, which is not a package of the module", pkg)
	}
}

// Some imports are for one package alone, or for none.
func TestWhatMayBeImportedWhere(t *testing.T) {
	for _, rule := range []struct {
		why, imported string
		not           bool // by those in packages; else: by those alone
		packages      []string
	}{
		{"the pool knows no HTTP", "net/http", true, []string{"pool"}},
		{"who imports the root gets no OpenTelemetry", "go.opentelemetry.io/", false, []string{"otelpool", "prompool", "allpool"}},
		{"who imports the root gets no Prometheus", "github.com/prometheus/", false, []string{"prompool", "allpool", "cmd/peerpool"}},
		{"only tests use the servers of tests", module + "/httptest_util", false, []string{"internal/testkit", "internal/nettest"}},
		{"who tests with httptestutil gets no types of x/net/http2", "golang.org/x/net/http2/", true, []string{"httptest_util"}},
		{"only tests use the frames of tests", module + "/internal/h2server", false, []string{"internal/testkit"}},
		{"only tests use the helpers of tests", module + "/internal/testkit", false, nil},
		{"only tests use the sockets of tests", module + "/internal/nettest", false, []string{"internal/testkit"}},
		{"only tests measure memory", module + "/internal/memtest", false, nil},
	} {
		for pkg, imports := range importsOf(t) {
			if slices.Contains(rule.packages, pkg) != rule.not {
				continue
			}
			for _, imported := range imports {
				if imported == strings.TrimSuffix(rule.imported, "/") || strings.HasSuffix(rule.imported, "/") && strings.HasPrefix(imported, rule.imported) {
					t.Errorf("%s imports %s: %s", pkg, imported, rule.why)
				}
			}
		}
	}
}
