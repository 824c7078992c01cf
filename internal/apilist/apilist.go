// Package apilist lists the exported API of the packages of this module, one line for each name, so that a change of the
// API shows as a change of a file.
package apilist

import (
	"bufio"
	"bytes"
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// List returns the exported API of all packages below dir that a user can import, sorted. It asks the go command for
// the packages and their export data, so they must compile.
func List(dir string) ([]string, error) {
	public, exports, err := packages(dir)
	if err != nil {
		return nil, err
	}
	imports := importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(exports[path])
	})
	var lines []string
	for _, path := range public {
		pkg, err := imports.Import(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		lines = append(lines, exported(pkg)...)
	}
	slices.Sort(lines)
	return lines, nil
}

// packages returns the import paths of the public packages, and the file with the export data of each package that one
// of them needs.
func packages(dir string) (public []string, exports map[string]string, err error) {
	list := exec.Command("go", "list", "-export", "-deps", "-f", "{{.DepOnly}}\t{{.Name}}\t{{.ImportPath}}\t{{.Export}}", "./...")
	list.Dir = dir
	var stderr bytes.Buffer
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		return nil, nil, fmt.Errorf("go list: %w: %s", err, &stderr)
	}
	exports = make(map[string]string)
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		f := strings.Split(lines.Text(), "\t")
		depOnly, name, path, file := f[0], f[1], f[2], f[3]
		exports[path] = file
		if depOnly == "false" && name != "main" && file != "" && !internal(path) {
			public = append(public, path)
		}
	}
	return public, exports, nil
}

func internal(path string) bool { return slices.Contains(strings.Split(path, "/"), "internal") }

// exported returns the lines of one package.
func exported(pkg *types.Package) []string {
	l := &lister{pkg: pkg}
	scope := pkg.Scope()
	for _, name := range scope.Names() {
		if token.IsExported(name) {
			l.object(scope.Lookup(name))
		}
	}
	return l.lines
}

type lister struct {
	pkg   *types.Package
	lines []string
}

func (l *lister) add(format string, args ...any) {
	l.lines = append(l.lines, fmt.Sprintf("pkg %s, ", l.pkg.Path())+fmt.Sprintf(format, args...))
}

// text returns a type as the package itself writes it. A function's parameters have no names, which callers do not use.
func (l *lister) text(t types.Type) string {
	if f, ok := t.(*types.Signature); ok {
		t = types.NewSignatureType(nil, nil, typeParams(f), unnamed(f.Params()), unnamed(f.Results()), f.Variadic())
	}
	return types.TypeString(t, func(p *types.Package) string {
		if p == l.pkg {
			return ""
		}
		return p.Name()
	})
}

// typeParams returns new type parameters for those of a function, as one type parameter belongs to one declaration.
func typeParams(f *types.Signature) []*types.TypeParam {
	var all []*types.TypeParam
	for p := range f.TypeParams().TypeParams() {
		all = append(all, types.NewTypeParam(types.NewTypeName(token.NoPos, p.Obj().Pkg(), p.Obj().Name(), nil), p.Constraint()))
	}
	return all
}

func unnamed(list *types.Tuple) *types.Tuple {
	var all []*types.Var
	for v := range list.Variables() {
		all = append(all, types.NewParam(token.NoPos, v.Pkg(), "", v.Type()))
	}
	return types.NewTuple(all...)
}

func (l *lister) object(o types.Object) {
	switch o := o.(type) {
	case *types.Const:
		l.add("const %s %s = %s", o.Name(), l.text(o.Type()), o.Val().ExactString())
	case *types.Var:
		l.add("var %s %s", o.Name(), l.text(o.Type()))
	case *types.Func:
		l.add("func %s%s", o.Name(), strings.TrimPrefix(l.text(o.Type()), "func"))
	case *types.TypeName:
		l.typeName(o)
	}
}

func (l *lister) typeName(o *types.TypeName) {
	if alias, ok := o.Type().(*types.Alias); ok {
		l.add("type %s = %s", o.Name(), l.text(alias.Rhs()))
		return
	}
	named := o.Type().(*types.Named)
	name := o.Name() + l.parameters(named.TypeParams())
	switch under := named.Underlying().(type) {
	case *types.Struct:
		l.add("type %s struct", name)
		l.fields(name, under)
	case *types.Interface:
		l.add("type %s interface", name)
		for m := range under.Methods() {
			l.add("type %s interface, %s%s", name, m.Name(), strings.TrimPrefix(l.text(m.Type()), "func"))
		}
		return
	default:
		l.add("type %s %s", name, l.text(under))
	}
	l.methods(named)
}

func (l *lister) fields(name string, s *types.Struct) {
	for f := range s.Fields() {
		switch {
		case !f.Exported():
		case f.Embedded():
			l.add("type %s struct, embedded %s", name, l.text(f.Type()))
		default:
			l.add("type %s struct, %s %s", name, f.Name(), l.text(f.Type()))
		}
	}
}

// methods lists the methods of a type and of a pointer to it, including those of embedded fields.
func (l *lister) methods(named *types.Named) {
	ofValue := types.NewMethodSet(named)
	for m := range types.NewMethodSet(types.NewPointer(named)).Methods() {
		f := m.Obj().(*types.Func)
		if !f.Exported() {
			continue
		}
		star := "*"
		if ofValue.Lookup(f.Pkg(), f.Name()) != nil {
			star = ""
		}
		l.add("method (%s%s) %s%s", star, named.Obj().Name()+l.arguments(named.TypeParams()), f.Name(), strings.TrimPrefix(l.text(f.Type()), "func"))
	}
}

// parameters returns the type parameters of a declaration with their constraints.
func (l *lister) parameters(list *types.TypeParamList) string {
	return l.join(list, func(p *types.TypeParam) string { return p.Obj().Name() + " " + l.text(p.Constraint()) })
}

// arguments returns the type parameters as a receiver has them.
func (l *lister) arguments(list *types.TypeParamList) string {
	return l.join(list, func(p *types.TypeParam) string { return p.Obj().Name() })
}

func (l *lister) join(list *types.TypeParamList, text func(*types.TypeParam) string) string {
	if list.Len() == 0 {
		return ""
	}
	var all []string
	for p := range list.TypeParams() {
		all = append(all, text(p))
	}
	return "[" + strings.Join(all, ", ") + "]"
}
