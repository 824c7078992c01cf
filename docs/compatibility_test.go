package docs_test

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const compatibility = "docs/compatibility.md"

// table returns the rows of the table whose head begins with these words, cell by cell.
func table(t *testing.T, path, head string) [][]string {
	t.Helper()
	_, rest, found := strings.Cut(documentAt(t, path).text, "\n| "+head)
	if !found {
		t.Fatalf("%s has no table that begins with %q", path, head)
	}
	var rows [][]string
	for i, line := range strings.Split(rest, "\n") {
		if i < 2 {
			continue // the head and the rule below it
		}
		if !strings.HasPrefix(line, "|") {
			break
		}
		cells := strings.Split(strings.Trim(line, "|"), " | ")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	return rows
}

var backquoted = regexp.MustCompile("`([^`]+)`")

// names returns the words of a cell that are in backquotes.
func names(cell string) []string {
	var all []string
	for _, m := range backquoted.FindAllStringSubmatch(cell, -1) {
		all = append(all, m[1])
	}
	return all
}

// goCommand returns what the go command prints in the root of the module.
func goCommand(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir = ".."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return out
}

// weighed are the packages whose weight the documents give, with what a program does with each.
var weighed = map[string]string{
	"net/http": "_ = t",
	"peerpool": "t = pt",
	"logpool":  "pt.Observer, t = logpool.New(nil).Observer(), pt",
	"poolz":    "page := poolz.New(pt); pt.Observer, t = page.Observer(), pt; http.Handle(\"/\", page)",
	"otelpool": "pt.Observer, t = otelpool.New().Observer(), pt",
	"prompool": "collector := prompool.New(pt); pt.Observer, t = collector.Observer(), pt; collector.Collect(nil)",
	"allpool":  "page, _ := allpool.Attach(pt, allpool.Options{}); t = pt; http.Handle(\"/\", page)",
}

// program returns the source of a program that makes one request.
func program(name string) string {
	imports, transport := "", "var t http.RoundTripper = http.DefaultTransport\n"
	if name != "net/http" {
		imports = fmt.Sprintf("import %q\n", module)
		transport += "pt := &peerpool.Transport{}\n"
		if name != "peerpool" {
			imports += fmt.Sprintf("import %q\n", module+"/"+name)
		}
	}
	return "package main\nimport \"net/http\"\n" + imports + "func main() {\n" + transport + weighed[name] +
		"\nc := &http.Client{Transport: t}\n_, _ = c.Get(\"http://127.0.0.1:1/\")\n}\n"
}

// build returns the size of a program and the modules that it links, other than this one.
func build(t *testing.T, name string) (size int64, modules []string) {
	t.Helper()
	dir := t.TempDir()
	source, out := filepath.Join(dir, "main.go"), filepath.Join(dir, "program")
	if err := os.WriteFile(source, []byte(program(name)), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CGO_ENABLED", "0")
	goCommand(t, "build", "-trimpath", "-ldflags=-s -w", "-o", out, source)
	info, err := os.Stat(out)
	if err != nil {
		t.Fatal(err)
	}
	built, err := buildinfo.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range append(built.Deps, &built.Main) {
		if m.Path != module && m.Path != "" {
			modules = append(modules, m.Path)
		}
	}
	return info.Size(), modules
}

var weighAll = flag.Bool("weigh", false, "build a program with each package to compare its size, not only one with the root")

// A size depends on the Go release and on the processor, so it may differ by a quarter from what the document says.
func TestWhatAProgramWeighs(t *testing.T) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("the document gives the sizes on linux/amd64")
	}
	alone, _ := build(t, "net/http")
	var rows []string
	for _, row := range table(t, compatibility, "a program with |") {
		name := names(row[0])[0]
		rows = append(rows, name)
		if name != "peerpool" && !*weighAll {
			continue
		}
		size, modules := build(t, name)
		more := float64(size-alone) / 1e6
		said, err := strconv.ParseFloat(strings.TrimSuffix(row[1], " MB"), 64)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(more-said) > said/4 {
			t.Errorf("%s adds %.1f MB to a program; %s says %s", name, more, compatibility, row[1])
		}
		if row[2] != strconv.Itoa(len(modules)) {
			t.Errorf("%s links %d modules of others, %q; %s says %s", name, len(modules), modules, compatibility, row[2])
		}
	}
	for name := range weighed {
		if name != "net/http" && !slices.Contains(rows, name) {
			t.Errorf("%s has no row", name)
		}
	}
}

// requirement is a module in go.mod.
type requirement struct {
	Path, Version string
	Indirect      bool
}

func TestTheTableOfDependenciesIsThatOfGoMod(t *testing.T) {
	var mod struct {
		Go      string
		Require []requirement
	}
	if err := json.Unmarshal(goCommand(t, "mod", "edit", "-json"), &mod); err != nil {
		t.Fatal(err)
	}
	if text := documentAt(t, compatibility).text; !strings.Contains(text, "needs Go "+mod.Go+" or newer") {
		t.Errorf("%s does not say that the module needs Go %s or newer", compatibility, mod.Go)
	}
	linked := linkedBy(t)
	rows := make(map[string][]string)
	for _, row := range table(t, compatibility, "module |") {
		rows[names(row[0])[0]] = row
	}
	for _, r := range mod.Require {
		row := rows[r.Path]
		delete(rows, r.Path)
		switch {
		case r.Indirect:
			continue
		case row == nil:
			t.Errorf("%s %s has no row: add one to the table of %s, with what it is for", r.Path, r.Version, compatibility)
			continue
		case row[1] != r.Version:
			t.Errorf("%s: go.mod has %s, %s says %s", r.Path, r.Version, compatibility, row[1])
		}
		said := names(row[2])
		slices.Sort(said)
		switch by := linked[r.Path]; {
		case row[2] == "tests" && len(by) == 0, row[2] == "every package" && slices.Contains(by, "peerpool"):
		case !slices.Equal(said, by):
			t.Errorf("%s is linked by %q; %s says %s", r.Path, by, compatibility, row[2])
		}
	}
	for path := range rows {
		t.Errorf("go.mod does not require %s, which %s lists", path, compatibility)
	}
}

// linkedBy returns, for each module, the packages of users that need it.
func linkedBy(t *testing.T) map[string][]string {
	t.Helper()
	linked := make(map[string][]string)
	for name := range maps.Keys(weighed) {
		if name == "net/http" {
			continue
		}
		path := module + "/" + name
		if name == "peerpool" {
			path = module
		}
		out := goCommand(t, "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", path)
		for _, m := range slices.Compact(slices.Sorted(slices.Values(strings.Fields(string(out))))) {
			linked[m] = append(linked[m], name)
		}
	}
	for _, by := range linked {
		slices.Sort(by)
	}
	return linked
}

func TestTheTableOfDeprecatedNamesIsThatOfTheCode(t *testing.T) {
	var said []string
	for _, row := range table(t, compatibility, "name | use |") {
		said = append(said, names(row[0])...)
	}
	files, err := filepath.Glob("../*.go")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, file := range files {
		if !strings.HasSuffix(file, "_test.go") {
			got = append(got, deprecatedIn(t, file)...)
		}
	}
	slices.Sort(said)
	slices.Sort(got)
	if !slices.Equal(got, said) {
		t.Errorf("deprecated are %q; %s lists %q", got, compatibility, said)
	}
}

// deprecatedIn returns the exported names of a file whose comment has a paragraph "Deprecated:".
func deprecatedIn(t *testing.T, file string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	note := func(doc *ast.CommentGroup, name string) {
		if strings.Contains("\n"+doc.Text(), "\nDeprecated: ") {
			all = append(all, name)
		}
	}
	for _, decl := range parsed.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			name := d.Name.Name
			if d.Recv != nil {
				receiver := d.Recv.List[0].Type
				if star, ok := receiver.(*ast.StarExpr); ok {
					receiver = star.X
				}
				name = fmt.Sprint(receiver) + "." + name
			}
			note(d.Doc, name)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if s, ok := spec.(*ast.TypeSpec); ok {
					note(d.Doc, s.Name.Name)
					if st, ok := s.Type.(*ast.StructType); ok {
						for _, field := range st.Fields.List {
							for _, name := range field.Names {
								note(field.Doc, s.Name.Name+"."+name.Name)
							}
						}
					}
				}
			}
		}
	}
	return all
}
