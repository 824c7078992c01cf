package ascii_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/peerpool/peerpool/internal/ascii"
)

func TestOnlyASCIILettersFold(t *testing.T) {
	for _, c := range []struct {
		s, t string
		want bool
	}{
		{"", "", true},
		{"chunked", "CHUNKED", true},
		{"a-Z09[`{@", "A-z09[`{@", true},
		{"chunked", "chunke", false},
		{"chun\u212aed", "chunked", false},
		{"chunked", "chun\u212aed", false},
		{"\u017f", "s", false},
		{"\u212a", "\u212a", true},
		{"\xc4", "\xe4", false},
		{"[", "{", false},
		{"@", "`", false},
	} {
		if got := ascii.EqualFold(c.s, c.t); got != c.want {
			t.Errorf("EqualFold(%q, %q) is %t", c.s, c.t, got)
		}
	}
	for s, want := range map[string]string{
		"": "", "abc": "abc", "aBC-9Z": "abc-9z", "\u212aK": "\u212ak", "\u00c4A": "\u00c4a",
	} {
		if got := ascii.ToLower(s); got != want {
			t.Errorf("ToLower(%q) is %q, want %q", s, got, want)
		}
	}
}

func TestOnlySpacesAndTabsAreTrimmed(t *testing.T) {
	for s, want := range map[string]string{
		"": "", " \t ": "", "\t a b ": "a b", "\u00a0a\u0085": "\u00a0a\u0085", "a\r\n": "a\r\n", "\va": "\va",
	} {
		if got := ascii.TrimSpace(s); got != want {
			t.Errorf("TrimSpace(%q) is %q, want %q", s, got, want)
		}
	}
}

// unicodeText are the functions that follow Unicode where protocols follow ASCII.
var unicodeText = map[string][]string{
	"strings": {"EqualFold", "ToLower", "ToUpper", "ToTitle", "Title", "TrimSpace", "Fields", "FieldsSeq"},
	"bytes":   {"EqualFold", "ToLower", "ToUpper", "ToTitle", "Title", "TrimSpace", "Fields", "FieldsSeq"},
	"unicode": {"ToLower", "ToUpper", "ToTitle", "SimpleFold", "IsSpace", "IsLetter", "IsDigit", "IsUpper", "IsLower"},
}

// notProtocol are the files and folders that use these functions for text of another kind, and what that text is.
var notProtocol = map[string]string{
	"bench":                      "reports, and the command line",
	"conformance":                "sources and output of the toolchain",
	"examples":                   "reports, and the command line",
	"cmd/peerpool/errortexts.go": "an error message, for the terminal",
	"cmd/peerpool/getargs.go":    "the command line",
	"internal/e2e/cost/walk":     "output of the toolchain",
	"internal/testkit":           "configuration files",
	"httptest_util/leak.go":      "stacks of goroutines",
	"poolz/identities.go":        "what a person searches for",
	"poolz/query.go":             "what a person searches for",
}

// TestNoProtocolTextIsComparedByUnicode looks through the whole repository. A use for other text than that of a protocol
// belongs in the table above. All other uses must call a function of this package.
func TestNoProtocolTextIsComparedByUnicode(t *testing.T) {
	root := filepath.Join("..", "..")
	needed := make(map[string]bool)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || len(d.Name()) > 2 && d.Name()[0] == '.'):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, use := range usesOfUnicode(file) {
			if except := exception(rel); except != "" {
				needed[except] = true
				continue
			}
			t.Errorf("%s:%d: %s follows Unicode, as no protocol does: see internal/ascii",
				rel, fset.Position(use.Pos()).Line, use.Sel.Name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for path := range notProtocol {
		if !needed[path] {
			t.Errorf("%s needs no exception any more", path)
		}
	}
}

// exception returns the entry of notProtocol that a file falls under, or "".
func exception(file string) string {
	for path := file; path != "."; path = filepath.ToSlash(filepath.Dir(path)) {
		if notProtocol[path] != "" {
			return path
		}
	}
	return ""
}

// usesOfUnicode finds the functions of unicodeText, whether they are called or passed on, under whatever name their
// package is imported.
func usesOfUnicode(file *ast.File) (uses []*ast.SelectorExpr) {
	imported := make(map[string]string) // by the name in this file
	for _, spec := range file.Imports {
		path, _ := strconv.Unquote(spec.Path.Value)
		name := path
		if spec.Name != nil {
			name = spec.Name.Name
		}
		imported[name] = path
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if pkg, ok := sel.X.(*ast.Ident); ok && slices.Contains(unicodeText[imported[pkg.Name]], sel.Sel.Name) {
				uses = append(uses, sel)
			}
		}
		return true
	})
	return uses
}

// TestTheSearchFindsEveryWayToSayIt checks that the search above does not pass because it finds nothing.
func TestTheSearchFindsEveryWayToSayIt(t *testing.T) {
	const source = `package p
import (
	"strings"
	b "bytes"
	"unicode"
)
var fold = strings.EqualFold
func f(s string) string { return string(b.ToLower([]byte(strings.Map(unicode.ToUpper, s)))) }
func g(unicode struct{ ToLower int }) {}
func h(s string) bool { return strings.Contains(s, "EqualFold") }
`
	file, err := parser.ParseFile(token.NewFileSet(), "p.go", source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, use := range usesOfUnicode(file) {
		found = append(found, use.Sel.Name)
	}
	slices.Sort(found)
	if want := []string{"EqualFold", "ToLower", "ToUpper"}; !slices.Equal(found, want) {
		t.Errorf("found %q, want %q", found, want)
	}
}
