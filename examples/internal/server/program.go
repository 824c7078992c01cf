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
	// Name is the name of the executable.
	Name string

	// Package is the Debian package with the program, or "" if there is none.
	Package string

	// Module is the path and the version from which "go install" builds the program, or "" if it cannot.
	Module string

	// Optional programs take much effort to install. No machine that runs the tests has to have them.
	Optional bool
}

// The servers and tools of the examples, in the versions with which the examples were tried.
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

// Find returns the path of the program. It looks in $PATH, in the folder in which Go installs programs, and in the folder of
// [Program.Build]. The error is a [*MissingError].
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

// FindOrBuild returns the path of the program. If the program is missing and Go can build it, FindOrBuild builds it and writes
// a line about that to w.
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

// cache returns the folder for programs of this version, or "" if the user has no cache.
func (p Program) cache() string {
	_, version, ok := strings.Cut(p.Module, "@")
	base, err := os.UserCacheDir()
	if !ok || err != nil {
		return ""
	}
	return filepath.Join(base, "peerpool-examples", p.Name+"-"+version+"-"+runtime.Version())
}

// goBin returns the folder of "go install", unless "go env" sets another one, or "" if there is none.
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

// tail returns the end of a text, where programs report what went wrong.
func tail(s string) string {
	const most = 4096
	if len(s) <= most {
		return s
	}
	return "..." + s[len(s)-most:]
}
