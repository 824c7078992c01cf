package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"strings"
	"testing"
)

// world is a standard library in which everything has its place and nothing works.
var world = map[string]string{
	"errors":  `package errors; func Is(err, target error) bool { return false }`,
	"strings": `package strings; func Contains(a, b string) bool { return false }`,
	"testing": `package testing; type T struct{}`,
	"net/http": `package http
		type RoundTripper interface{}
		type Transport struct { TLSNextProto map[string]int }
		func (t *Transport) Known() {}
		func (t *Transport) Unknown() {}
		type Client struct { Transport RoundTripper }
		func (c *Client) Get(url string) error { return nil }
		type Server struct{}
		func Get(url string) error { return nil }
		func SetPendingDialHooks(before, after func()) {}
		var DefaultTransport RoundTripper
		var ExportErrRequestCanceled error`,
	"net/http/httptest": `package httptest
		import "net/http"
		type Server struct { URL string }
		func (s *Server) Client() *http.Client { return nil }`,
	"net/http/internal": `package internal
		type Reader struct{}
		const Limit = 1
		var Enough error
		func Copy() {}
		var Unused int`,
	standinPath: `package standin
		type Transport struct{}
		func (t *Transport) Known() {}
		func SetPendingDialHooks(before, after func()) {}`,
}

// imports is world, type-checked as it is asked for.
type imports map[string]*types.Package

func (i imports) Import(path string) (*types.Package, error) {
	if i[path] != nil {
		return i[path], nil
	}
	text, ok := world[path]
	if !ok {
		return nil, fmt.Errorf("no package %s", path)
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, path+".go", text, 0)
	if err != nil {
		return nil, err
	}
	config := types.Config{Importer: i}
	i[path], err = config.Check(path, fset, []*ast.File{f}, nil)
	return i[path], err
}

// testSuite returns a type-checked suite with one file of tests, and the stand-ins.
func testSuite(t *testing.T, text string) (*suite, *types.Package) {
	t.Helper()
	s := &suite{name: "net/http", path: "example.com/http", fset: token.NewFileSet()}
	syntax, err := parser.ParseFile(s.fset, "a_test.go", text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	s.files = []*source{{"a_test.go", "a_test.go", []byte(text), syntax, true}}
	world := make(imports)
	for _, err := range s.typeCheck(world) {
		t.Fatal(err)
	}
	standins, err := world.Import(standinPath)
	if err != nil {
		t.Fatal(err)
	}
	return s, standins
}

// rewritten returns what becomes of a file of tests, and the bridges that it needs. Broken names functions to cut out.
func rewritten(t *testing.T, text string, broken ...string) (string, bridges) {
	t.Helper()
	s, standins := testSuite(t, text)
	g := newGraph(s)
	cut := make(map[*decl]string)
	for _, name := range broken {
		cut[function(t, g, name)] = "broken"
	}
	r := &rewriter{suite: s, standins: standins.Scope(), bridges: make(bridges)}
	return string(r.rewrite(g.decls, cut)[s.files[0]]), r.bridges
}

func function(t *testing.T, g *graph, name string) *decl {
	t.Helper()
	for _, d := range g.decls {
		if d.name == name {
			return d
		}
	}
	t.Fatalf("no function %s", name)
	return nil
}

func wantIn(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("lacks %q:\n%s", part, text)
		}
	}
}

func wantNotIn(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if strings.Contains(text, part) {
			t.Errorf("has %q:\n%s", part, text)
		}
	}
}
