// Package server finds or builds the servers that the examples talk to, and runs them on loopback.
package server

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// Program is a server that an example needs.
type Program struct {
	// Name is that of the executable.
	Name string

	// Package is the Debian package that has it; "": none has.
	Package string

	// Module is the path and the version that "go install" builds it from; "": it is not built from Go.
	Module string

	// Optional programs are dear to get: nobody demands them of a machine that runs the tests.
	Optional bool
}

// The servers and the tools of the examples, in the versions that they were tried with.
var (
	Versitygw   = Program{Name: "versitygw", Module: "github.com/versity/versitygw/cmd/versitygw@v1.8.0", Optional: true}
	Extensions  = Program{Name: "apiextensions-apiserver", Module: "k8s.io/apiextensions-apiserver@v0.37.2", Optional: true}
	Conformance = Program{Name: "connectconformance", Module: "connectrpc.com/conformance/cmd/connectconformance@v1.0.7", Optional: true}
	Etcd        = Program{Name: "etcd", Package: "etcd-server", Optional: true}
	Nginx       = Program{Name: "nginx", Package: "nginx-light"}
	Wrk         = Program{Name: "wrk", Package: "wrk"}
	Prometheus  = Program{Name: "prometheus", Package: "prometheus"}
	Registry    = Program{Name: "docker-registry", Package: "docker-registry"}
)

// MissingError says what to install.
type MissingError struct{ Program Program }

func (e *MissingError) Error() string {
	return fmt.Sprintf("%s is not installed: %s", e.Program.Name, e.Program.howTo())
}

func (p Program) howTo() string {
	if p.Module != "" {
		return "go install " + p.Module
	}
	return "apt-get install --no-install-recommends " + p.Package
}

// Find returns the path of the program: in $PATH, in Go's folder for what it installs, or where [Program.Build] has
// left it. The error is a [*MissingError].
func (p Program) Find() (string, error) {
	if path, err := exec.LookPath(p.Name); err == nil {
		return path, nil
	}
	for _, dir := range []string{goBin(), p.cache(), "/usr/sbin"} {
		if dir == "" {
			continue
		}
		if path, err := exec.LookPath(filepath.Join(dir, p.Name)); err == nil {
			return path, nil
		}
	}
	return "", &MissingError{Program: p}
}

// FindOrBuild returns the path of the program and builds it before if it is missing and Go can, which it says on w.
func (p Program) FindOrBuild(ctx context.Context, w io.Writer) (string, error) {
	path, err := p.Find()
	if err == nil || p.Module == "" {
		return path, err
	}
	fmt.Fprintf(w, "building %s, once; this takes some minutes\n", p.Module)
	return p.Build(ctx)
}

// Build builds the program into the user's cache, outside of any module.
func (p Program) Build(ctx context.Context) (string, error) {
	dir := p.cache()
	if p.Module == "" || dir == "" {
		return "", &MissingError{Program: p}
	}
	cmd := exec.CommandContext(ctx, "go", "install", p.Module)
	cmd.Dir = os.TempDir()
	cmd.Env = append(os.Environ(), "GOBIN="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go install %s: %w\n%s", p.Module, err, tail(string(out)))
	}
	return exec.LookPath(filepath.Join(dir, p.Name))
}

// cache is where programs of this version are built; "" if the user has no cache.
func (p Program) cache() string {
	_, version, ok := strings.Cut(p.Module, "@")
	base, err := os.UserCacheDir()
	if !ok || err != nil {
		return ""
	}
	return filepath.Join(base, "peerpool-examples", p.Name+"-"+version+"-"+runtime.Version())
}

// goBin is where "go install" puts programs, unless "go env" was told another place; "" if there is none.
func goBin() string {
	if dir := os.Getenv("GOBIN"); dir != "" {
		return dir
	}
	if paths := filepath.SplitList(os.Getenv("GOPATH")); len(paths) > 0 {
		return filepath.Join(paths[0], "bin")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, "go", "bin")
}

// tail returns the end of a text, which is where programs say what went wrong.
func tail(s string) string {
	const most = 4096
	if len(s) <= most {
		return s
	}
	return "..." + s[len(s)-most:]
}
