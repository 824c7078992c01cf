package http2

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// TestNothingOfXNetsClientIsUsed checks what the packages that users import use of golang.org/x/net/http2: only the Framer
// with what it reads and writes, the types of errors, and names for numbers.
func TestNothingOfXNetsClientIsUsed(t *testing.T) {
	root := filepath.Join("..", "..")
	users := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch d.Name() {
			case "bench", "examples", "conformance", "testdata", ".git": // programs that compare, or code that is not ours
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		name := ""
		for _, spec := range file.Imports {
			if spec.Path.Value != `"golang.org/x/net/http2"` {
				continue
			}
			name = "http2"
			if spec.Name != nil {
				name = spec.Name.Name
			}
		}
		if name == "" {
			return nil
		}
		users++
		ast.Inspect(file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if from, ok := sel.X.(*ast.Ident); !ok || from.Name != name {
				return true
			}
			for _, part := range []string{"Transport", "ClientConn", "Configure", "Server", "RoundTrip"} {
				if strings.Contains(sel.Sel.Name, part) {
					t.Errorf("%s uses http2.%s", path, sel.Sel.Name)
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if users < 5 {
		t.Errorf("%d files import x/net/http2: has this test seen them all?", users)
	}
}
