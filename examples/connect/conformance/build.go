package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// suiteModule is the module with the suite and its reference client, in the version for which the edits are made.
const suiteModule = "connectrpc.com/conformance@v1.0.7"

//go:embed pooled/pooled.go
var pooledSource []byte

// edit is a change to a file of the reference client.
type edit struct {
	file     string
	old, new string
	times    int // that old must be found
}

const (
	transportsFile = "internal/app/referenceclient/transports.go"
	mainFile       = "cmd/referenceclient/main.go"
	pooledImport   = `"connectrpc.com/conformance/internal/app/pooled"`
)

// keepAlive makes the reference client keep its connections. The unchanged client does not keep HTTP/1.1 connections if
// requests are canceled, because net/http may close a connection that another request has got meanwhile.
var keepAlive = []edit{
	{file: transportsFile, times: 1, old: "transport = newHTTP1Transport(tlsConf, spec.disableKeepAlives)",
		new: "transport = newHTTP1Transport(tlsConf, false)"},
}

// ours replaces net/http's Transport with peerpool's, which has an Observer.
var ours = append([]edit{
	{file: transportsFile, times: 2, old: "&http.Transport{", new: "&pooled.Transport{\n Observer: pooled.Observer,"},
	{file: transportsFile, times: 1, old: "\t\"github.com/quic-go/quic-go\"\n",
		new: "\t\"github.com/quic-go/quic-go\"\n\t" + pooledImport + "\n"},
	{file: mainFile, times: 1, old: "\terr := referenceclient.Run(", new: "\tdefer pooled.Report()\n\terr := referenceclient.Run("},
	{file: mainFile, times: 1, old: "import (\n", new: "import (\n\t" + pooledImport + "\n"},
}, keepAlive...)

// apply makes the change in the copy of the module in dir.
func (e edit) apply(dir string) error {
	path := filepath.Join(dir, filepath.FromSlash(e.file))
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if n := strings.Count(string(text), e.old); n != e.times {
		return fmt.Errorf("%s of %s has %q %d times, not %d", e.file, suiteModule, e.old, n, e.times)
	}
	return os.WriteFile(path, []byte(strings.ReplaceAll(string(text), e.old, e.new)), 0o644)
}

// buildClient builds the reference client with some edits, in dir, and returns its path.
func buildClient(ctx context.Context, dir, peerpoolDir string, edits []edit) (string, error) {
	var module struct{ Dir, Error string }
	out, err := goCommand(ctx, os.TempDir(), "mod", "download", "-json", suiteModule)
	if err == nil {
		err = json.Unmarshal(out, &module)
	}
	if err != nil {
		return "", err
	}
	source := filepath.Join(dir, "source")
	if err := os.CopyFS(source, os.DirFS(module.Dir)); err != nil {
		return "", err
	}
	for _, e := range edits {
		if err := e.apply(source); err != nil {
			return "", err
		}
	}
	if err := addPooled(ctx, source, peerpoolDir); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "client")
	// With -trimpath, the build cache works even though the folder differs each time.
	_, err = goCommand(ctx, source, "build", "-mod=mod", "-trimpath", "-o", path, "./cmd/referenceclient")
	return path, err
}

// addPooled adds the package pooled to the copy of the module, and makes the module require this peerpool.
func addPooled(ctx context.Context, source, peerpoolDir string) error {
	pooled := filepath.Join(source, "internal", "app", "pooled")
	if err := os.Mkdir(pooled, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(pooled, "pooled.go"), pooledSource, 0o644); err != nil {
		return err
	}
	const path = "github.com/peerpool/peerpool"
	_, err := goCommand(ctx, source, "mod", "edit", "-require="+path+"@v0.0.0", "-replace="+path+"="+peerpoolDir)
	return err
}

// peerpoolDir returns the folder of the peerpool that this program was built with.
func peerpoolDir(ctx context.Context) (string, error) {
	out, err := goCommand(ctx, "", "list", "-m", "-f", "{{.Dir}}", "github.com/peerpool/peerpool")
	return strings.TrimSpace(string(out)), err
}

// goCommand runs the go command in a folder and returns what it prints.
func goCommand(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	var errors bytes.Buffer
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, &errors)
	}
	return out, nil
}
