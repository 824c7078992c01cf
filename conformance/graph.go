package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// decl is one declaration at the top of a file: a function, or one line of a var, const or type block.
type decl struct {
	name string // name of a function; "" for other declarations
	fn   *ast.FuncDecl
	node ast.Node
	file *source

	uses       map[types.Object]bool
	bareClient bool // makes an http.Client without a Transport, which uses http.DefaultTransport
}

// graph holds the declarations of a suite, and which of them use which.
type graph struct {
	suite *suite
	decls []*decl
	of    map[types.Object]*decl
}

func newGraph(s *suite) *graph {
	g := &graph{suite: s, of: make(map[types.Object]*decl)}
	for _, f := range s.files {
		for _, d := range f.syntax.Decls {
			g.add(f, d)
		}
	}
	return g
}

func (g *graph) add(f *source, node ast.Decl) {
	switch node := node.(type) {
	case *ast.FuncDecl:
		g.addNode(&decl{name: node.Name.Name, fn: node, node: node, file: f}, node.Name)
	case *ast.GenDecl:
		for _, spec := range node.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				g.addNode(&decl{node: spec, file: f}, spec.Name)
			case *ast.ValueSpec:
				g.addNode(&decl{node: spec, file: f}, spec.Names...)
			}
		}
	}
}

func (g *graph) addNode(d *decl, names ...*ast.Ident) {
	d.uses = make(map[types.Object]bool)
	ast.Inspect(d.node, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			if obj := origin(g.suite.info.Uses[n]); obj != nil {
				d.uses[obj] = true
			}
		case *ast.CompositeLit:
			d.bareClient = d.bareClient || g.suite.useOf(n.Type) == "net/http.Client" && !hasKey(n, "Transport")
		}
		return true
	})
	for _, name := range names {
		if obj := g.suite.info.Defs[name]; obj != nil {
			g.of[obj] = d
		}
	}
	g.decls = append(g.decls, d)
}

// reach returns d and everything that it uses, directly or indirectly.
func (g *graph) reach(d *decl) []*decl {
	reached := []*decl{d}
	seen := map[*decl]bool{d: true}
	for i := 0; i < len(reached); i++ {
		for obj := range reached[i].uses {
			if next := g.of[obj]; next != nil && !seen[next] {
				seen[next] = true
				reached = append(reached, next)
			}
		}
	}
	return reached
}

// isClientSide reports whether d may use a Transport.
func (g *graph) isClientSide(d *decl) bool {
	for _, r := range g.reach(d) {
		if slices.Contains(bystanders, r.name) {
			continue
		}
		if r.bareClient {
			return true
		}
		for obj := range r.uses {
			if slices.Contains(clientSide, objectName(obj)) {
				return true
			}
		}
	}
	return false
}

// lacking returns the functions that call a method of http.Transport that its stand-in does not have, with the reason.
func (g *graph) lacking(standin *types.TypeName) map[*decl]string {
	has := types.NewMethodSet(types.NewPointer(standin.Type()))
	lacking := make(map[*decl]string)
	for _, d := range g.decls {
		for obj := range d.uses {
			method, ok := strings.CutPrefix(objectName(obj), "net/http.Transport.")
			if ok && has.Lookup(standin.Pkg(), method) == nil {
				lacking[d] = fmt.Sprintf("needs (*http.Transport).%s, which has no stand-in", method)
			}
		}
	}
	return lacking
}

// isTest reports whether d is a test function.
func (d *decl) isTest() bool {
	if d.fn == nil || d.fn.Recv != nil || !d.file.tests || d.name == "TestMain" {
		return false
	}
	rest, ok := strings.CutPrefix(d.name, "Test")
	return ok && (rest == "" || rest[0] < 'a' || rest[0] > 'z')
}

// at returns the declaration at a line of a file, given by its base name, or nil.
func (g *graph) at(file string, line int) *decl {
	for _, d := range g.decls {
		lineOf := func(pos token.Pos) int { return g.suite.fset.Position(pos).Line }
		if d.file.name == file && lineOf(d.node.Pos()) <= line && line <= lineOf(d.node.End()) {
			return d
		}
	}
	return nil
}

// hasKey reports whether a literal has a value for a field.
func hasKey(lit *ast.CompositeLit, field string) bool {
	return slices.ContainsFunc(lit.Elts, func(elt ast.Expr) bool {
		kv, ok := elt.(*ast.KeyValueExpr)
		if !ok {
			return false
		}
		key, ok := kv.Key.(*ast.Ident)
		return ok && key.Name == field
	})
}

// objectName returns the name, with the import path, of a method or of an object at the top of a package: "net/http.Get",
// "net/http/httptest.Server.Client". For other objects it returns "". Fields do not know their struct: see selectedName.
func objectName(obj types.Object) string {
	if obj == nil || obj.Pkg() == nil {
		return ""
	}
	path := strings.TrimPrefix(obj.Pkg().Path(), "vendor/")
	if f, ok := obj.(*types.Func); ok && f.Signature().Recv() != nil {
		if owner := named(f.Signature().Recv().Type()); owner != "" {
			return path + "." + owner + "." + obj.Name()
		}
		return ""
	}
	if obj.Parent() != obj.Pkg().Scope() {
		return ""
	}
	return path + "." + obj.Name()
}

// selectedName returns the name of what a selector of a value selects. It does what objectName does, and handles fields too.
func selectedName(sel *types.Selection) string {
	if sel.Kind() != types.FieldVal {
		return objectName(origin(sel.Obj()))
	}
	if owner := named(sel.Recv()); owner != "" && sel.Obj().Pkg() != nil {
		return sel.Obj().Pkg().Path() + "." + owner + "." + sel.Obj().Name()
	}
	return ""
}

// named returns the name of a type, or of the type that it points to. If that type has no name, it returns "".
func named(t types.Type) string {
	if p, ok := t.(*types.Pointer); ok {
		t = p.Elem()
	}
	if n, ok := types.Unalias(t).(*types.Named); ok {
		return n.Obj().Name()
	}
	return ""
}

// origin returns the generic function of which obj is an instance, or obj itself.
func origin(obj types.Object) types.Object {
	if f, ok := obj.(*types.Func); ok {
		return f.Origin()
	}
	return obj
}
