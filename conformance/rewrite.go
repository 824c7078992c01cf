package main

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strconv"
	"strings"
)

// rewriter replaces what the files of a suite use, and nothing else. All other text keeps its line.
type rewriter struct {
	suite    *suite
	standins *types.Scope // each name in it replaces the name of net/http
	bridges  bridges

	fn       string // the function being rewritten, or ""
	edits    map[*source][]edit
	vanished []span // ranges of the original text that are not in the result
	applied  map[adaptation]bool
}

// span is a range of source positions.
type span struct{ start, end token.Pos }

// rewrite returns the new texts of the suite's files. The bodies of the functions in broken are cut out.
func (r *rewriter) rewrite(decls []*decl, broken map[*decl]string) map[*source][]byte {
	r.edits, r.vanished, r.applied = make(map[*source][]edit), nil, make(map[adaptation]bool)
	for _, d := range decls {
		if d.file.tests {
			r.fn = d.name
			ast.Inspect(d.node, r.visit)
		}
		switch _, cut := broken[d]; {
		case d.fn == nil:
		case d.fn.Body == nil:
			// Another package defines this function under net/http's name, which differs from ours.
			r.insert(d.fn.End(), ` { panic("without a body") }`)
		case cut:
			r.cut(d.fn.Body)
		}
	}
	texts := make(map[*source][]byte)
	for _, f := range r.suite.files {
		r.rewriteImports(f)
		texts[f] = apply(f.text, r.edits[f])
	}
	return texts
}

// visit makes the edits for a node, and reports whether its children are to be visited.
func (r *rewriter) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.BinaryExpr:
		r.rewriteComparison(n)
	case *ast.CallExpr:
		r.rewriteErrorsIs(n)
	case *ast.SelectorExpr:
		r.rewriteSelector(n)
		ast.Inspect(n.X, r.visit)
		return false // n.Sel is done
	case *ast.Ident:
		if by := r.replacement(objectName(r.suite.info.Uses[n])); by != "" {
			r.replace(span{n.Pos(), n.End()}, by)
		}
	case *ast.BasicLit:
		// Logs contain the name of the function that wrote them, with its import path.
		if n.Kind == token.STRING && strings.Contains(n.Value, "net/http_test.") {
			r.replace(span{n.Pos(), n.End()}, strings.ReplaceAll(n.Value, "net/http_test.", r.suite.path+"_test."))
		}
	}
	return true
}

func (r *rewriter) rewriteSelector(n *ast.SelectorExpr) {
	sel := r.suite.info.Selections[n]
	if sel == nil { // pkg.Name
		if by := r.replacement(objectName(r.suite.info.Uses[n.Sel])); by != "" {
			r.replace(span{n.Pos(), n.End()}, by)
		}
		return
	}
	if by := r.replacement(selectedName(sel)); by != "" {
		r.insert(n.Pos(), by+"(")
		r.replace(span{n.X.End(), n.End()}, ")")
	}
}

// replacement returns the name that replaces an object here, or "".
func (r *rewriter) replacement(object string) string {
	for _, a := range adaptations {
		if a.object == object && (a.in == "" || a.in == r.fn) {
			r.applied[a] = true
			return "standin." + a.by
		}
	}
	if name, ok := strings.CutPrefix(object, "net/http."); ok && token.IsExported(name) && r.standins.Lookup(name) != nil {
		return "standin." + name
	}
	return ""
}

func (r *rewriter) rewriteComparison(n *ast.BinaryExpr) {
	if n.Op != token.EQL && n.Op != token.NEQ || !r.isPrivateError(n.X) && !r.isPrivateError(n.Y) {
		return
	}
	not := ""
	if n.Op == token.NEQ {
		not = "!"
	}
	r.insert(n.Pos(), not+"standin.SameError(")
	r.replace(span{n.OpPos, n.OpPos + token.Pos(len(n.Op.String()))}, ",")
	r.insert(n.End(), ")")
}

func (r *rewriter) rewriteErrorsIs(n *ast.CallExpr) {
	if r.suite.useOf(n.Fun) == "errors.Is" && len(n.Args) == 2 && r.isPrivateError(n.Args[1]) {
		r.replace(span{n.Fun.Pos(), n.Fun.End()}, "standin.ErrorIs")
	}
}

func (r *rewriter) isPrivateError(e ast.Expr) bool {
	return slices.Contains(privateErrors, r.suite.useOf(e))
}

// rewriteImports adds the import of the stand-ins. It redirects imports to bridges if only the standard library may import
// the package. It blanks imports that are no longer used.
func (r *rewriter) rewriteImports(f *source) {
	if slices.ContainsFunc(r.edits[f], func(e edit) bool { return strings.Contains(e.text, "standin.") }) {
		r.insert(f.syntax.Name.End(), "; import "+strconv.Quote(standinPath))
	}
	used := r.usedImports(f)
	for _, spec := range f.syntax.Imports {
		obj := r.suite.info.Implicits[spec]
		if spec.Name != nil {
			obj = r.suite.info.Defs[spec.Name]
		}
		path := importPath(spec)
		// A dot import that is no longer needed has not occurred yet.
		if pkg, ok := obj.(*types.PkgName); ok && pkg.Name() != "." && !used[pkg] {
			r.replace(span{spec.Pos(), spec.Path.End()}, `_ "unsafe"`) // any import will do
		} else if standardOnly(path) {
			r.replace(span{spec.Path.Pos(), spec.Path.End()}, strconv.Quote(bridgePath(path)))
		}
	}
}

// usedImports returns the imports of f that the rest of the new text still uses. It also notes what that text uses from
// behind a bridge.
func (r *rewriter) usedImports(f *source) map[*types.PkgName]bool {
	used := make(map[*types.PkgName]bool)
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		id, ok := sel.X.(*ast.Ident)
		if !ok {
			return true
		}
		pkg, ok := r.suite.info.Uses[id].(*types.PkgName)
		gone := func(s span) bool { return s.start <= id.Pos() && id.End() <= s.end }
		if ok && !slices.ContainsFunc(r.vanished, gone) {
			used[pkg] = true
			r.bridges.add(r.suite.info.Uses[sel.Sel])
		}
		return true
	})
	return used
}
