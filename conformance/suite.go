package main

import (
	"context"
	"errors"
	"go/ast"
	"go/build"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// suite is one package of tests: files of the standard library under another import path.
type suite struct {
	name string // import path in the standard library
	path string // import path here
	dir  string // its folder in the temporary folder, with the rewritten files and what the tests read

	fset  *token.FileSet
	files []*source
	info  *types.Info
}

// source is one file of a suite.
type source struct {
	name   string // base name
	orig   string // path of the original
	text   []byte
	syntax *ast.File
	tests  bool // has tests to run against peerpool; false for a file of a package under test
}

// readSuites reads the two suites. The suite of net/http is its external test package, which sees what net/http and its
// export_test.go export. The tests of ReverseProxy are inside its package, so that suite includes the package.
func readSuites(tc *toolchain) ([]*suite, error) {
	external := func(name string, f *ast.File) bool {
		return f.Name.Name == "http_test" && !strings.HasPrefix(name, "example_")
	}
	proxy := func(name string, f *ast.File) bool {
		return name == "reverseproxy_test.go" || !strings.HasSuffix(name, "_test.go")
	}
	var suites []*suite
	for _, s := range []struct {
		name   string
		wanted func(string, *ast.File) bool
	}{{"net/http", external}, {"net/http/httputil", proxy}} {
		read, err := readSuite(tc, s.name, s.wanted)
		if err != nil {
			return nil, err
		}
		suites = append(suites, read)
	}
	return suites, nil
}

func readSuite(tc *toolchain, name string, wanted func(string, *ast.File) bool) (*suite, error) {
	s := &suite{
		name: name,
		path: modulePath + "/conformance/internal/stdlib/" + name,
		dir:  filepath.Join(tc.temp, path.Base(name)),
		fset: token.NewFileSet(),
	}
	dir := filepath.Join(tc.src, filepath.FromSlash(name))
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".go") {
			continue
		}
		// A file that is not built for this system would not type-check either.
		if match, err := build.Default.MatchFile(dir, entry.Name()); err != nil || !match {
			continue
		}
		f, err := s.parse(filepath.Join(dir, entry.Name()))
		if err != nil {
			return nil, err
		}
		if wanted(f.name, f.syntax) {
			s.files = append(s.files, f)
		}
	}
	return s, nil
}

func (s *suite) parse(file string) (*source, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	syntax, err := parser.ParseFile(s.fset, file, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	name := filepath.Base(file)
	return &source{name, file, text, syntax, strings.HasSuffix(name, "_test.go")}, nil
}

// imports returns what the files import, sorted.
func (s *suite) imports() []string {
	set := make(map[string]bool)
	for _, f := range s.files {
		for _, spec := range f.syntax.Imports {
			set[importPath(spec)] = true
		}
	}
	delete(set, "unsafe")
	return slices.Sorted(maps.Keys(set))
}

func importPath(spec *ast.ImportSpec) string {
	unquoted, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		return spec.Path.Value
	}
	return unquoted
}

// check type-checks the original files. It returns the package of the stand-ins, and the errors in the tests. There are
// errors because some tests use what another test file of their package declares.
func (s *suite) check(ctx context.Context, tc *toolchain) (*types.Package, []types.Error, error) {
	imp, err := tc.importer(ctx, s.fset, append(s.imports(), standinPath))
	if err != nil {
		return nil, nil, err
	}
	standins, err := imp.Import(standinPath)
	if err != nil {
		return nil, nil, err
	}
	return standins, s.typeCheck(imp), nil
}

// typeCheck fills in info and returns the errors.
func (s *suite) typeCheck(imp types.Importer) []types.Error {
	s.info = &types.Info{
		Defs:       make(map[*ast.Ident]types.Object),
		Uses:       make(map[*ast.Ident]types.Object),
		Implicits:  make(map[ast.Node]types.Object),
		Selections: make(map[*ast.SelectorExpr]*types.Selection),
	}
	var files []*ast.File
	for _, f := range s.files {
		files = append(files, f.syntax)
	}
	var wrong []types.Error
	config := types.Config{Importer: imp, Error: func(err error) {
		if e, ok := errors.AsType[types.Error](err); ok {
			wrong = append(wrong, e)
		}
	}}
	config.Check(s.path, s.fset, files, s.info) // Check returns the first of the errors above
	return wrong
}

// file returns the source that contains a position.
func (s *suite) file(pos token.Pos) *source {
	for _, f := range s.files {
		if f.syntax.FileStart <= pos && pos < f.syntax.FileEnd {
			return f
		}
	}
	return nil
}

// offset returns the offset of a position in its file.
func (s *suite) offset(pos token.Pos) int { return s.fset.Position(pos).Offset }

// useOf returns the name, as objectName returns it, of the object that e denotes, if e is only a name.
func (s *suite) useOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return objectName(s.info.Uses[e])
	case *ast.SelectorExpr:
		return objectName(s.info.Uses[e.Sel])
	}
	return ""
}

// hasConst reports whether the tests have a string constant with this value, such as the name of a mode.
func (s *suite) hasConst(value string) bool {
	for _, obj := range s.info.Defs {
		c, ok := obj.(*types.Const)
		if ok && c.Val().Kind() == constant.String && constant.StringVal(c.Val()) == value {
			return true
		}
	}
	return false
}
