package apilist_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/peerpool/peerpool/internal/apilist"
)

// module writes files into a module of their own.
func module(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	files["go.mod"] = "module example.test/m\n\ngo 1.26\n"
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestTheListHasALineForEachExportedName(t *testing.T) {
	dir := module(t, map[string]string{"m.go": `package m

import "io"

const Limit = 3
const hidden = 4

var ErrLate error

type (
	Reason  string
	Alias   = Reason
	Reader  interface { Read(p []byte) (int, error); size() int }
	Options struct {
		Name   string
		Hook   func(reason Reason) error
		hidden int
		io.Writer
	}
	Box[K comparable] struct{ key K }
	inner struct{}
	Outer struct{ inner }
)

const Slow Reason = "slow"

func Open(name string, all ...int) (*Options, error)         { return nil, nil }
func Each[T any](list []T, f func(T))                        {}
func (o *Options) Close() error                              { return nil }
func (r Reason) String() string                              { return "" }
func (b *Box[K]) Key() K                                     { return b.key }
func (inner) Promoted()                                      {}
func (o *Options) hide()                                     {}
`})
	got, err := apilist.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(`const Limit untyped int = 3
const Slow Reason = "slow"
func Each[T any]([]T, func(T))
func Open(string, ...int) (*Options, error)
method (*Box[K]) Key() K
method (*Options) Close() error
method (Options) Write([]byte) (int, error)
method (Outer) Promoted()
method (Reason) String() string
type Alias = Reason
type Box[K comparable] struct
type Options struct
type Options struct, Hook func(Reason) error
type Options struct, Name string
type Options struct, embedded io.Writer
type Outer struct
type Reader interface
type Reader interface, Read([]byte) (int, error)
type Reader interface, size() int
type Reason string
var ErrLate error`, "\n")
	for i, line := range got {
		got[i] = strings.TrimPrefix(line, "pkg example.test/m, ")
	}
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestTheListLeavesOutPackagesThatNobodyCanImport(t *testing.T) {
	dir := module(t, map[string]string{
		"sub/sub.go":         "package sub\n\nfunc F() {}\n",
		"internal/in/in.go":  "package in\n\nfunc F() {}\n",
		"cmd/m/main.go":      "package main\n\nfunc F() {}\nfunc main() {}\n",
		"docs/docs_test.go":  "package docs_test\n\nfunc F() {}\n",
		"sub/internal/in.go": "package internal\n\nfunc F() {}\n",
	})
	got, err := apilist.List(dir)
	if want := []string{"pkg example.test/m/sub, func F()"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestAModuleThatDoesNotCompileHasNoList(t *testing.T) {
	dir := module(t, map[string]string{"m.go": "package m\n\nfunc F() { return 1 }\n"})
	if got, err := apilist.List(dir); err == nil {
		t.Errorf("got %q", got)
	}
}
