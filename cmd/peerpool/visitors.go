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

// visitors are a light load, so that the page has something to show: callers that send requests to servers of every kind.
type visitors struct {
	client *http.Client
	groups []visitorGroup
	ends   []func() // stop the servers
}

// visitorGroup is a number of callers that send requests to the same peer.
type visitorGroup struct {
	url     string
	peer    *peerpool.Peer // nil: the Transport's own settings
	callers int
	every   time.Duration // on average, for each of them
}

// invite starts the servers for the visitors.
func (d *demonstration) invite() (*visitors, error) {
	v := &visitors{client: newClient(d.watched)}
	for _, kind := range []struct {
		manners manners
		callers int
		every   time.Duration
		tenants []string // each has a Group, so they share no connection; nil: one group of visitors without a Group
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

// addSlow adds a server that answers slowly, and a port on which no server listens.
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

// visit sends requests until ctx ends, which also ends those under way. Then it stops the servers.
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

// call sends requests until ctx ends. It ignores how they end, because the page shows that.
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
