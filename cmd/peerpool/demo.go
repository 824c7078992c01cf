package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/peerpool/peerpool"
)

const (
	demoCallers   = 16
	demoAddresses = 3                // of the host with several addresses
	demoTimeout   = 10 * time.Second // of a request; a request should take far less
)

// phase is one kind of server, and how the clients send requests to it.
type phase struct {
	name     string
	secure   bool // with TLS
	manners  manners
	requests int

	// wave is the number of requests that are sent before a pause. Zero means all of them. Between two waves, no request
	// is under way. pause, if it is not nil, is called there.
	wave  int
	pause func(ctx context.Context, s *server, wave int)
}

// demoPhases returns the phases of the demonstration.
func demoPhases() []phase {
	phases := []phase{
		{name: "plain", requests: 30000},
		{name: "TLS", requests: 30000, secure: true},
		closingPhase(),
		{name: "restarts", requests: 24000, manners: restarting(2000, 11)},
		strayPhase(),
	}
	if hasAddresses(demoAddresses) {
		phases = append(phases, addressesPhase())
	}
	return phases
}

// restarting returns the manners of a server that restarts after every so many requests. At each restart the server has
// received one request of each caller, and has answered none of them, so all clients lose the same. The server stops
// restarting after times restarts, because the last requests come from fewer callers.
func restarting(every, times int64) manners {
	return manners{restartEvery: every, restartWith: demoCallers, restarts: times}
}

// addressesPhase sends requests to a host with several addresses. One of them goes away while no request is under way.
func addressesPhase() phase {
	return phase{
		name: "3 addresses", requests: 12000, wave: 4000, manners: manners{addresses: demoAddresses},
		pause: func(ctx context.Context, s *server, wave int) {
			if wave == 1 {
				s.loseAddress()
			}
			idle(ctx, 10*time.Millisecond)
		},
	}
}

// closingPhase has a server that closes a connection when it has been idle for 20 ms. The pauses between the waves vary
// around that time in steps of 50 us, so that some requests are sent at the very moment when the server closes.
func closingPhase() phase {
	const closeAfter, step, sweep = 20 * time.Millisecond, 50 * time.Microsecond, 60
	return phase{
		name: "closes idle", requests: 128 * 64, wave: 64,
		manners: manners{closeAfter: closeAfter},
		pause: func(ctx context.Context, _ *server, wave int) {
			idle(ctx, closeAfter+time.Duration(wave%sweep-sweep*3/4)*step)
		},
	}
}

// strayPhase has a server that sends bytes that answer no request: right behind a response, and on idle connections.
func strayPhase() phase {
	return phase{
		name: "stray bytes", requests: 40 * 500, wave: 500,
		manners: manners{repeatEvery: 10},
		pause: func(ctx context.Context, s *server, _ int) {
			s.babble()
			idle(ctx, 10*time.Millisecond)
		},
	}
}

// contender is one of the two clients that the demonstration compares.
type contender struct {
	name string
	make func(*http.Transport) transport
}

type transport interface {
	http.RoundTripper
	CloseIdleConnections()
}

var contenders = []contender{
	{"peerpool", func(t *http.Transport) transport { return balanced(t) }},
	{"net/http", func(t *http.Transport) transport { return t }},
}

// balanced returns a Transport that spreads the requests over the addresses of a host.
func balanced(t *http.Transport) *peerpool.Transport {
	tr := peerpool.FromHTTP(t)
	tr.Balance = peerpool.BalanceRoundRobin
	return tr
}

// demonstration holds what all phases share.
type demonstration struct {
	names                *names
	serverTLS, clientTLS *tls.Config
	progress             *progress
	watched              *peerpool.Transport // serves all phases, so that a page can show it; nil: each phase has its own
}

// demonstrate runs all phases with both clients, one after the other, and prints a table of what happened.
func demonstrate(ctx context.Context, s streams, phases []phase) (int, error) {
	d, err := newDemonstration(s)
	if err != nil {
		return 0, err
	}
	defer d.close()
	return d.present(ctx, s, phases)
}

func newDemonstration(s streams) (*demonstration, error) {
	server, client, err := loopbackTLS()
	if err != nil {
		return nil, err
	}
	var addrs []netip.Addr
	for i := range demoAddresses {
		addrs = append(addrs, netip.MustParseAddr(addressOf(i)))
	}
	names, err := startNames(demoHost, addrs...)
	if err != nil {
		return nil, err
	}
	return &demonstration{names: names, serverTLS: server, clientTLS: client, progress: &progress{w: s.err, live: s.live}}, nil
}

func (d *demonstration) close() { d.names.close() }

func (d *demonstration) present(ctx context.Context, s streams, phases []phase) (int, error) {
	rows, err := d.rows(ctx, phases)
	if err != nil {
		return 0, err
	}
	interrupted := ctx.Err() != nil
	if err := writeReport(s.out, demoText(rows, interrupted)); err != nil {
		return 0, err
	}
	if interrupted {
		return exitInterrupted, nil
	}
	return exitOK, nil
}

// rows runs the phases until all are over or ctx ends.
func (d *demonstration) rows(ctx context.Context, phases []phase) ([]row, error) {
	defer log.SetOutput(log.Writer())
	log.SetOutput(io.Discard) // net/http logs a line for each stray response

	var rows []row
	for _, ph := range phases {
		for _, c := range contenders {
			if ctx.Err() != nil {
				return rows, nil
			}
			r, err := d.row(ctx, ph, c)
			if err != nil {
				return nil, err
			}
			rows = append(rows, r)
		}
	}
	return rows, nil
}

// row sends the requests of one phase through one client.
func (d *demonstration) row(ctx context.Context, ph phase, c contender) (row, error) {
	manners := ph.manners
	if ph.secure {
		manners.tls = d.serverTLS
	}
	srv, err := startServer(manners)
	if err != nil {
		return row{}, err
	}
	defer srv.close()
	rt := c.make(d.settings())
	if _, pooled := rt.(*peerpool.Transport); pooled && d.watched != nil {
		rt = d.watched
	}
	defer rt.CloseIdleConnections()
	before := statsOf(rt)

	t, err := newTrial(srv.url())
	if err != nil {
		return row{}, err
	}
	l := &load{client: newClient(rt), callers: demoCallers, timeout: demoTimeout, prepare: t.prepare}
	name := ph.name + ", " + c.name
	stop := d.progress.follow(func() string {
		return fmt.Sprintf("%s: %d of %d requests", name, l.answered.Load()+l.failed.Load(), ph.requests)
	})
	ph.send(ctx, l, srv)
	stop()
	d.progress.note(fmt.Sprintf("%s: %d answered, %d failed", name, l.answered.Load(), l.failed.Load()))

	r := t.row()
	r.server, r.client, r.opened = ph.name, c.name, srv.opened.Load()
	r.restarts, r.lost, r.served = srv.ledger()
	r.stats = since(before, statsOf(rt))
	return r, nil
}

// settings returns the settings of both clients.
func (d *demonstration) settings() *http.Transport {
	dialer := &net.Dialer{Resolver: d.names.resolver()}
	return &http.Transport{MaxIdleConnsPerHost: demoCallers, TLSClientConfig: d.clientTLS, DialContext: dialer.DialContext}
}

// statsOf returns the statistics of a client, or nil if the client keeps none.
func statsOf(rt transport) *peerpool.Stats {
	pooled, ok := rt.(*peerpool.Transport)
	if !ok {
		return nil
	}
	stats := pooled.Stats()
	return &stats
}

// since returns the difference between two snapshots, as far as the report needs it.
func since(before, after *peerpool.Stats) *peerpool.Stats {
	if before == nil {
		return nil
	}
	stats := *after
	for reason, n := range before.Closes {
		stats.Closes[reason] -= n
	}
	stats.UnexpectedData -= before.UnexpectedData
	stats.Retries.Saved -= before.Retries.Saved
	return &stats
}

// send sends the requests of the phase, wave by wave.
func (ph phase) send(ctx context.Context, l *load, s *server) {
	size := ph.wave
	if size == 0 {
		size = ph.requests
	}
	for first, wave := 0, 0; first < ph.requests && ctx.Err() == nil; first, wave = first+size, wave+1 {
		if wave > 0 && ph.pause != nil {
			ph.pause(ctx, s, wave)
		}
		l.run(ctx, first, min(first+size, ph.requests))
	}
}

// idle waits for d, or until ctx ends.
func idle(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
