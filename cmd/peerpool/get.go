package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/peerpool/peerpool"
)

// maxFarewell limits how long the program waits at its end for connections to close in good order.
const maxFarewell = time.Second

// minIdlePerHost is the number of idle connections per host that a Transport keeps by default.
const minIdlePerHost = 64

// get runs "peerpool get".
func get(ctx context.Context, args []string, s streams) (int, error) {
	a, err := parseGet(args)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK, writeReport(s.out, usage)
	}
	if err != nil {
		return 0, err
	}
	w := newWitness(a.requests == 1)
	tr := a.transport()
	defer farewell(tr)
	tr.Observer = w.observer()
	if a.listen != "" {
		srv, err := watchOn(a.listen, tr, s)
		if err != nil {
			return 0, err
		}
		defer srv.Close()
	}

	var t tally
	l := &load{client: newClient(tr), callers: a.callers, timeout: a.timeout, prepare: a.prepare(&t)}
	p := &progress{w: s.err, live: s.live}
	stop := p.follow(func() string {
		return fmt.Sprintf("%d of %d requests answered, %d failed", l.answered.Load(), a.requests, l.failed.Load())
	})
	begun := time.Now()
	l.run(ctx, 0, a.requests)
	took := time.Since(begun)
	stop()

	r := newGetReport(&t, w, tr.Stats(), tr.Hosts())
	r.Requests, r.Seconds, r.Interrupted = a.requests, took.Seconds(), ctx.Err() != nil
	if err := writeReport(s.out, r.format(a.json)); err != nil {
		return 0, err
	}
	return r.exitCode(), nil
}

// transport returns the Transport for all requests. It keeps at least one idle connection for each caller. It must ask for
// HTTP/2 explicitly, because the TLS configuration that -k sets turns HTTP/2 off.
func (a *getArgs) transport() *peerpool.Transport {
	tr := &peerpool.Transport{
		Proxy:               http.ProxyFromEnvironment,
		MaxIdleConnsPerHost: max(a.callers, minIdlePerHost),
		ForceAttemptHTTP2:   true,
		Balance:             a.balance,
	}
	if len(a.resolver) > 0 {
		tr.Resolver = a.resolver
	}
	if a.insecure {
		tr.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} // -k says so
	}
	return tr
}

// prepare returns a function that makes request number n. The URLs take turns.
func (a *getArgs) prepare(t *tally) func(context.Context, int) exchange {
	type target struct {
		req     *http.Request
		proxied bool
	}
	var targets []target
	for _, u := range a.urls {
		req := &http.Request{Method: http.MethodGet, URL: u, Host: a.host, Header: a.header}
		proxy, err := http.ProxyFromEnvironment(req)
		targets = append(targets, target{req, err == nil && proxy != nil})
	}
	return func(ctx context.Context, n int) exchange {
		to := targets[n%len(targets)]
		where := &whereabouts{proxied: to.proxied}
		return exchange{req: to.req.WithContext(where.follow(ctx)), body: io.Discard, where: where, done: t.add}
	}
}

// farewell closes the connections of a Transport.
func farewell(tr *peerpool.Transport) {
	ctx, cancel := context.WithTimeout(context.Background(), maxFarewell)
	defer cancel()
	_ = tr.Shutdown(ctx) // connections that are still open end with the program
}

// exitCode returns the exit code of the program after the report.
func (r *getReport) exitCode() int {
	switch {
	case r.Interrupted:
		return exitInterrupted
	case r.Failed > 0:
		return exitFailed
	}
	return exitOK
}

// format returns the report as text or as one JSON object.
func (r *getReport) format(asJSON bool) string {
	if !asJSON {
		return r.text()
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		panic(err) // cannot happen: every field of the report can be encoded
	}
	return string(b) + "\n"
}
