package peerpool

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestTheStepsOfAnIdentityKnowNoAttemptAndNoConnection holds the files to docs/architecture.md, "The files of the root".
func TestTheStepsOfAnIdentityKnowNoAttemptAndNoConnection(t *testing.T) {
	for name, forbidden := range map[string][]string{
		"socket.go":    {"attempt", "http1Conn", "http2Conn", "alternateConn"},
		"protocols.go": {"attempt", "http1Conn", "http2Conn", "alternateConn"},
		"tls.go":       {"attempt", "http1Conn", "http2Conn", "alternateConn"},
		"proxy.go":     {"attempt", "http1Conn", "http2Conn", "alternateConn"},
	} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		types := typesIn(file)
		for _, f := range forbidden {
			if types[f] {
				t.Errorf("%s refers to %s: see \"The files of the root\" in docs/architecture.md", name, f)
			}
		}
	}
}

// TestWhatATransportTellsDependsOnNoStep holds the files to docs/architecture.md, "The files of the root". It compares names, and
// does not know methods and fields.
func TestWhatATransportTellsDependsOnNoStep(t *testing.T) {
	told := []string{"observer.go", "reasons.go", "errors.go", "errortypes.go", "retry.go", "identity.go"}
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	place := map[string]string{} // of the declarations, by name
	files := map[string]*ast.File{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = file
		for _, declared := range declaredIn(file) {
			place[declared] = name
		}
	}
	for _, name := range told {
		for used := range usedIn(files[name]) {
			if at := place[used]; at != "" && !slices.Contains(told, at) {
				t.Errorf("%s refers to %s in %s: see \"The files of the root\" in docs/architecture.md", name, used, at)
			}
		}
	}
}

// declaredIn returns the names that a file declares for the package.
func declaredIn(file *ast.File) (names []string) {
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil {
				names = append(names, d.Name.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					names = append(names, s.Name.Name)
				case *ast.ValueSpec:
					for _, name := range s.Names {
						names = append(names, name.Name)
					}
				}
			}
		}
	}
	return names
}

// usedIn returns the names that a file uses or declares, except those of fields, methods and parameters, and of what other
// packages export.
func usedIn(file *ast.File) map[string]bool {
	names := map[string]bool{}
	var note func(ast.Node) bool
	note = func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			names[n.Name] = true
		case *ast.Field:
			ast.Inspect(n.Type, note)
			return false
		case *ast.SelectorExpr:
			ast.Inspect(n.X, note)
			return false
		case *ast.KeyValueExpr:
			if _, field := n.Key.(*ast.Ident); field {
				ast.Inspect(n.Value, note)
				return false
			}
		}
		return true
	}
	ast.Inspect(file, note)
	delete(names, "_")
	return names
}

// typesIn returns the names that stand where types do: of receivers, parameters, results, fields, values and conversions.
func typesIn(file *ast.File) map[string]bool {
	names := map[string]bool{}
	note := func(e ast.Expr) {
		for {
			switch x := e.(type) {
			case *ast.StarExpr:
				e = x.X
				continue
			case *ast.Ident:
				names[x.Name] = true
			}
			return
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			note(n.Type)
		case *ast.CompositeLit:
			note(n.Type)
		case *ast.TypeAssertExpr:
			note(n.Type)
		case *ast.ValueSpec:
			note(n.Type)
		case *ast.CaseClause:
			for _, e := range n.List {
				note(e)
			}
		}
		return true
	})
	return names
}
