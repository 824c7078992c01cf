package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/peerpool/peerpool"
)

// visitors are the light load that keeps a page alive: callers at servers of every kind, who ask now and then.
type visitors struct {
	client *http.Client
	groups []visitorGroup
	ends   []func() // stop the servers
}

// visitorGroup is some callers who ask the same peer.
type visitorGroup struct {
	url     string
	peer    *peerpool.Peer // nil: what the Transport does on its own
	callers int
	every   time.Duration // on average, for each of them
}

// invite starts the servers that are visited.
func (d *demonstration) invite() (*visitors, error) {
	v := &visitors{client: newClient(d.watched)}
	for _, kind := range []struct {
		manners manners
		callers int
		every   time.Duration
		tenants []string // a group for each, so that they share no connection; none: one without a group
	}{
		{manners{}, 6, 40 * time.Millisecond, []string{"tenant-a", "tenant-b", "tenant-c"}},
		{manners{tls: d.serverTLS}, 8, 60 * time.Millisecond, []string{"", "audit"}},
		{manners{closeAfter: 500 * time.Millisecond}, 4, 700 * time.Millisecond, nil},
		{manners{restartEvery: 400}, 4, 100 * time.Millisecond, nil},
		{manners{repeatEvery: 60}, 3, 150 * time.Millisecond, nil},
	} {
		srv, err := startServer(kind.manners)
		if err != nil {
			v.dismiss()
			return nil, err
		}
		v.ends = append(v.ends, srv.close)
		if kind.tenants == nil {
			kind.tenants = []string{""}
		}
		for _, tenant := range kind.tenants {
			peer, err := peerpool.NewPeer(peerpool.PeerOptions{Group: tenant})
			if err != nil {
				v.dismiss()
				return nil, err
			}
			v.groups = append(v.groups, visitorGroup{srv.url(), peer, kind.callers, kind.every})
		}
	}
	if err := v.addHost(); err != nil {
		v.dismiss()
		return nil, err
	}
	if err := v.addSlow(); err != nil {
		v.dismiss()
		return nil, err
	}
	return v, nil
}

// addHost adds a host with several addresses, one of which refuses connections, if the system has so many.
func (v *visitors) addHost() error {
	if !hasAddresses(demoAddresses) {
		return nil
	}
	srv, err := startServer(manners{addresses: demoAddresses})
	if err != nil {
		return err
	}
	srv.loseAddress()
	v.ends = append(v.ends, srv.close)
	v.groups = append(v.groups, visitorGroup{srv.url(), nil, 6, 80 * time.Millisecond})
	return nil
}

// addSlow adds a server that takes its time, and one that is not there.
func (v *visitors) addSlow() error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("no server could be started: %w", err)
	}
	slow := serveOn(ln, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		idle(r.Context(), rand.N(400*time.Millisecond))
	}))
	v.ends = append(v.ends, func() { slow.Close() })
	v.groups = append(v.groups, visitorGroup{"http://" + ln.Addr().String(), nil, 8, 500 * time.Millisecond})

	absent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("no server could be started: %w", err)
	}
	v.groups = append(v.groups, visitorGroup{"http://" + absent.Addr().String(), nil, 1, 5 * time.Second})
	return absent.Close()
}

// visit sends requests until ctx ends. Then it waits for those under way, which are given up, and stops the servers.
func (v *visitors) visit(ctx context.Context) {
	var callers sync.WaitGroup
	for _, g := range v.groups {
		for range g.callers {
			callers.Go(func() { v.call(ctx, g) })
		}
	}
	callers.Wait()
	v.client.CloseIdleConnections()
	v.dismiss()
}

func (v *visitors) dismiss() {
	for _, end := range v.ends {
		end()
	}
}

// call asks again and again. What becomes of a request is for the page to tell.
func (v *visitors) call(ctx context.Context, g visitorGroup) {
	for ctx.Err() == nil {
		idle(ctx, rand.N(2*g.every))
		req, err := http.NewRequestWithContext(peerpool.WithPeer(ctx, g.peer), http.MethodGet, g.url+"/visit", nil)
		if err != nil {
			return
		}
		resp, err := v.client.Do(req)
		if err != nil {
			continue
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
}
