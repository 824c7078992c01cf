// Command registry uses go-containerregistry on peerpool: it pushes images of random layers to a Docker registry and
// pulls them again. It does the same on net/http and prints both results.
//
//	go run ./registry
//	go run ./registry -repository registry.example.com/team/scratch
//
// Without -repository, it runs Debian's docker-registry on loopback. With -repository, it uses the credentials that docker has
// stored, and does not remove the images. Some requests fail: with these, the client finds out that the registry on loopback
// does not speak https.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"

	"github.com/peerpool/peerpool/examples/internal/report"
	"github.com/peerpool/peerpool/examples/internal/server"
)

func main() {
	var load workload
	flag.StringVar(&load.repository, "repository", "", "host:port/path to push to; empty: that of a registry that is started")
	flag.IntVar(&load.images, "images", 8, "how many images to push and to pull")
	flag.IntVar(&load.layers, "layers", 6, "how many layers each of them has")
	flag.IntVar(&load.jobs, "jobs", 4, "how many layers of an image are under way at a time")
	flag.Parse()
	load.layerSize, load.workers = 256<<10, 4

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, load); err != nil {
		fmt.Fprintln(os.Stderr, "registry:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, w io.Writer, load workload) error {
	if load.repository == "" {
		path, err := server.Registry.Find()
		if err != nil {
			return err
		}
		dir, err := os.MkdirTemp("", "peerpool-registry-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		process, addr, err := startRegistry(ctx, path, dir)
		if err != nil {
			return err
		}
		defer process.Stop()
		load.repository = addr + "/example"
	}
	_, err := compare(ctx, w, load)
	return err
}

// compare runs the workload with go-containerregistry on net/http and on peerpool.
func compare(ctx context.Context, w io.Writer, load workload) ([]report.Result, error) {
	work := func(ctx context.Context, m *report.Meter) error { return load.run(ctx, m) }
	return report.Compare(ctx, w, work, report.NetHTTP(), report.Peerpool())
}

// startRegistry runs a registry that keeps its images in dir.
func startRegistry(ctx context.Context, path, dir string) (*server.Process, string, error) {
	addr, err := server.FreeAddr()
	if err != nil {
		return nil, "", err
	}
	config := fmt.Sprintf(`version: 0.1
log:
  level: warn
storage:
  filesystem:
    rootdirectory: %q
http:
  addr: %q
`, filepath.Join(dir, "images"), addr)
	file := filepath.Join(dir, "registry.yml")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		return nil, "", err
	}
	process, err := server.Start(ctx, exec.Command(path, "serve", file), server.Answering("http://"+addr+"/v2/"))
	return process, addr, err
}
