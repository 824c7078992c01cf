package main

import (
	"context"
	"io"
	"os"
	"os/exec"

	"github.com/peerpool/peerpool/examples/internal/server"
)

// gateway is a versitygw in front of its own folder.
type gateway struct {
	endpoint
	process *server.Process
	dir     string
}

// startGateway builds versitygw if it is not installed, and runs it.
func startGateway(ctx context.Context, w io.Writer) (*gateway, error) {
	path, err := server.Versitygw.FindOrBuild(ctx, w)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "peerpool-s3-")
	if err != nil {
		return nil, err
	}
	g, err := runGateway(ctx, path, dir)
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	return g, nil
}

// runGateway runs a versitygw that keeps its objects in dir.
func runGateway(ctx context.Context, path, dir string) (*gateway, error) {
	addr, err := server.FreeAddr()
	if err != nil {
		return nil, err
	}
	const key, secret = "example", "example-secret"
	// Without --keep-alive, it closes every connection after one response, so there would be nothing to pool.
	cmd := exec.Command(path, "--port", addr, "--keep-alive", "posix", dir)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+key, "ROOT_SECRET_KEY="+secret)
	process, err := server.Start(ctx, cmd, server.Listening(addr))
	if err != nil {
		return nil, err
	}
	e := endpoint{url: "http://" + addr, region: "us-east-1", credentials: static(key, secret)}
	return &gateway{endpoint: e, process: process, dir: dir}, nil
}

func (g *gateway) stop() {
	g.process.Stop()
	_ = os.RemoveAll(g.dir) // if this fails, the rest is in the system's temporary folder
}
