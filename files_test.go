package peerpool

import (
	"go/ast"
	"go/parser"
	"go/token"
	"testing"
)

// TestTheStepsOfAnIdentityKnowNoAttemptAndNoConnection holds the files to docs/architecture.md, "The files of the root".
func TestTheStepsOfAnIdentityKnowNoAttemptAndNoConnection(t *testing.T) {
	steps := []string{"attempt", "route", "http1Conn", "http2Conn", "alternateConn", "core", "Transport"}
	for name, forbidden := range map[string][]string{
		"retry.go":     steps,
		"identity.go":  steps,
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
