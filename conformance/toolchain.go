package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

const (
	modulePath  = "github.com/peerpool/peerpool"
	standinPath = modulePath + "/conformance/internal/standin"
)

// toolchain is the Go installation whose tests are read, and the module against which they run.
type toolchain struct {
	version string // such as "go1.26.8"
	src     string // the standard library
	module  string // this module
	temp    string // the folder for all output
	overlay string // path of the file that tells the go command which files replace which

	command string   // go
	environ []string // environment of the go command; nil means that of this program
}

// findToolchain asks the go command in the current directory, which must be inside this module. All files are written into
// temp.
func findToolchain(ctx context.Context, temp string) (*toolchain, error) {
	tc := &toolchain{temp: temp, command: "go"}
	out, err := tc.run(ctx, "env", "-json", "GOROOT", "GOVERSION", "GOMODCACHE")
	if err != nil {
		return nil, err
	}
	var env struct{ GOROOT, GOVERSION, GOMODCACHE string }
	if err := json.Unmarshal(out, &env); err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	root, err := tc.settle(env.GOROOT, env.GOMODCACHE)
	if err != nil {
		return nil, err
	}
	tc.version, tc.src = env.GOVERSION, filepath.Join(root, "src")
	if _, err := os.Stat(filepath.Join(tc.src, "net", "http", "transport_test.go")); err != nil {
		return nil, fmt.Errorf("the tests of net/http are not in GOROOT/src, some distributions leave them out: %w", err)
	}
	out, err = tc.run(ctx, "list", "-m", "-f", "{{.Dir}}", modulePath)
	if err != nil {
		return nil, fmt.Errorf("run this inside the module %s: %w", modulePath, err)
	}
	tc.module = strings.TrimSpace(string(out))
	return tc, nil
}

// settle returns the root of the toolchain under a name that overlays may use. If the go command has downloaded the
// toolchain, that name is another one, because the go command forbids overlays in its module cache.
func (tc *toolchain) settle(root, cache string) (string, error) {
	if inside, err := filepath.Rel(cache, root); err != nil || !filepath.IsLocal(inside) {
		return root, nil
	}
	link := filepath.Join(tc.temp, "goroot")
	if err := os.Symlink(root, link); err != nil {
		return "", fmt.Errorf("a name for the downloaded toolchain: %w", err)
	}
	tc.command = filepath.Join(link, "bin", "go"+exe())
	tc.environ = append(os.Environ(), "GOROOT="+link, "GOTOOLCHAIN=local")
	return link, nil
}

// exe returns the end of the name of an executable.
func exe() string {
	if runtime.GOOS == "windows" {
		return ".exe"
	}
	return ""
}

// run runs the go command in the module and returns what it prints.
func (tc *toolchain) run(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, tc.command, args...)
	cmd.Dir, cmd.Env = tc.module, tc.environ
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); ctx.Err() != nil {
		return nil, ctx.Err()
	} else if err != nil {
		return nil, &goError{args[0], err, stderr.String()}
	}
	return stdout.Bytes(), nil
}

// goError is a failure of the go command, with its output.
type goError struct {
	command string
	err     error
	output  string
}

func (e *goError) Error() string {
	const enough = 20
	lines := strings.SplitAfterN(e.output, "\n", enough+1)
	if len(lines) > enough {
		lines[enough] = "...\n"
	}
	return fmt.Sprintf("go %s: %v\n%s", e.command, e.err, strings.Join(lines, ""))
}

func (e *goError) Unwrap() error { return e.err }

// writeOverlay writes an overlay that makes the go command read, for each path that is a key, the file at the path that is
// its value.
func (tc *toolchain) writeOverlay(replace map[string]string) error {
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return err
	}
	tc.overlay = filepath.Join(tc.temp, "overlay.json")
	return os.WriteFile(tc.overlay, text, 0o666)
}

// importer returns a types.Importer for the packages at paths and everything that they import. If the standard library has
// vendored a package, the importer finds it under the name that the sources use.
func (tc *toolchain) importer(ctx context.Context, fset *token.FileSet, paths []string) (types.Importer, error) {
	args := []string{"list", "-export", "-deps", "-overlay", tc.overlay, "-f", "{{.ImportPath}}\t{{.Export}}"}
	for _, path := range paths {
		if vendored(path) {
			path = "vendor/" + path
		}
		args = append(args, path)
	}
	out, err := tc.run(ctx, args...)
	if err != nil {
		return nil, err
	}
	exports := make(map[string]string)
	for line := range strings.Lines(string(out)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), "\t")
		exports[path] = file
	}
	for _, path := range paths {
		if file, ok := exports["vendor/"+path]; ok {
			exports[path] = file
		}
	}
	return importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) {
		file := exports[path]
		if file == "" {
			return nil, fmt.Errorf("the go command has no export data of %q", path)
		}
		return os.Open(file)
	}), nil
}

// vendored reports whether the standard library has its own copy of a package.
func vendored(path string) bool { return strings.HasPrefix(path, "golang.org/x/") }

// standardOnly reports whether only the standard library may import a path.
func standardOnly(path string) bool {
	return vendored(path) || slices.Contains(strings.Split(path, "/"), "internal")
}
