package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/peerpool/peerpool/examples/internal/server"
)

// config is the configuration of one nginx, without its address.
const config = `daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr warn;
events { worker_connections 1024; }
http {
	access_log off;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	keepalive_requests 1000;
	keepalive_timeout 5s;
	server {
		listen %[1]s;
		location / { return 200 "this is %[1]s\n"; }
	}
}
`

// pause is the time from the end of one restart to the beginning of the next.
const pause = 250 * time.Millisecond

// backend is an nginx with its own folder and address, which stay the same after a restart.
type backend struct {
	program, dir, addr string
	process            *server.Process // nil if it is not running
}

type backends struct{ all []*backend }

// startBackends starts n backends, in folders below dir.
func startBackends(ctx context.Context, nginx, dir string, n int) (*backends, error) {
	b := new(backends)
	for i := range n {
		addr, err := server.FreeAddr()
		if err == nil {
			one := &backend{program: nginx, dir: filepath.Join(dir, fmt.Sprint(i)), addr: addr}
			b.all = append(b.all, one)
			err = one.start(ctx)
		}
		if err != nil {
			b.stop()
			return nil, err
		}
	}
	return b, nil
}

func (b *backend) start(ctx context.Context) (err error) {
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		return err
	}
	file := filepath.Join(b.dir, "nginx.conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, config, b.addr), 0o644); err != nil {
		return err
	}
	cmd := exec.Command(b.program, "-p", b.dir, "-c", file, "-e", "stderr")
	b.process, err = server.Start(ctx, cmd, server.Listening(b.addr))
	return err
}

// restart lets nginx finish its requests, and starts it again. In between, its port is closed.
func (b *backend) restart(ctx context.Context) error {
	b.process.StopWith(syscall.SIGQUIT)
	b.process = nil
	return b.start(ctx)
}

func (b *backends) urls() []*url.URL {
	var urls []*url.URL
	for _, one := range b.all {
		urls = append(urls, &url.URL{Scheme: "http", Host: one.addr})
	}
	return urls
}

// restartInTurn restarts one backend after the other until ctx is done, and returns the number of restarts. It pauses in
// between, as a rolling restart does. If all backends were away at the same time, no pool could help.
func (b *backends) restartInTurn(ctx context.Context) (times int, err error) {
	next := time.NewTimer(pause)
	defer next.Stop()
	for {
		select {
		case <-next.C:
		case <-ctx.Done():
			return times, nil
		}
		one := b.all[times%len(b.all)]
		if err := one.restart(context.WithoutCancel(ctx)); err != nil {
			return times, err
		}
		times++
		next.Reset(pause)
	}
}

func (b *backends) stop() {
	for _, one := range b.all {
		if one.process != nil {
			one.process.Stop()
		}
	}
}
