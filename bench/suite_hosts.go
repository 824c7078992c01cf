package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/peerpool/peerpool"
)

var hostsSuite = suite{
	name:        "hosts",
	about:       "a host with 1, 3 and 100 addresses",
	unsupported: peersUnsupported(),
	comparisons: hostComparisons,
	work:        newHostsWorker,
}

// hostsSpec says how requests are spread over the addresses.
type hostsSpec struct{ Balance peerpool.Balance }

func hostComparisons(short bool) (all []comparison) {
	window := 300 * time.Millisecond
	if short {
		window = 20 * time.Millisecond
	}
	for _, b := range []struct {
		name    string
		balance peerpool.Balance
	}{{"as net/http", peerpool.BalanceNone}, {"round robin", peerpool.BalanceRoundRobin}, {"least requests", peerpool.BalanceLeastRequests}} {
		c := comparison{
			name: "a host with 1, 3 and 100 addresses, " + b.name + ", 16 callers", candidates: []candidate{ours},
			baseline: ours, metric: "address100", columns: []string{"address1", "address3", "address100", "spread3", "spread100"},
			spec: hostsSpec{b.balance}, window: window,
		}
		if b.balance != peerpool.BalanceNone { // which follows the resolver, whose order stays here
			c.targets = []target{{"spread3", "", 10}, {"spread100", "", 10}}
		}
		all = append(all, c)
	}
	return append(all, memberComparisons(short)...)
}

// addressList is a Resolver that answers with the first addresses of 127.3.0.0/16.
type addressList int

// LookupNetIP implements [peerpool.Resolver].
func (n addressList) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	addrs := make([]netip.Addr, n)
	for i := range addrs {
		addrs[i] = netip.AddrFrom4([4]byte{127, 3, byte(i >> 8), byte(i + 1)})
	}
	return addrs, nil
}

// hostsWorker has a Transport for each number of addresses, and compares what a request costs.
type hostsWorker struct {
	transports [3]*peerpool.Transport
	crowds     [3]crowd
}

func newHostsWorker(j job) (worker, error) {
	if spec, err := specOf[membersSpec](j); err != nil || spec.Members {
		return membersWorker{j.Candidate, spec}, err
	}
	spec, err := specOf[hostsSpec](j)
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(j.Server.Any)
	if err != nil {
		return nil, err
	}
	w := &hostsWorker{}
	for i, n := range []int{1, 3, 100} {
		tr := &peerpool.Transport{
			Resolver: addressList(n), Balance: spec.Balance, MaxIdleConnsPerHost: 4 * n * peerCallers, DisableCompression: true,
		}
		c := newHTTPClient(tr, requestSpec{Method: http.MethodGet, Path: fewFields}, j.Server)
		callers := make(crowd, peerCallers)
		for k := range callers {
			req, err := http.NewRequest(http.MethodGet, fmt.Sprintf("http://svc.test:%s%s", port, fewFields), nil)
			if err != nil {
				return nil, err
			}
			for _, field := range requestFields {
				req.Header.Set(field[0], field[1])
			}
			buf := make([]byte, 4<<10)
			callers[k] = &caller{call: func() error {
				_, err := c.exchange(req, buf)
				return err
			}}
		}
		w.transports[i], w.crowds[i] = tr, callers
		if _, _, err := callers.run(200 * time.Millisecond); err != nil { // each address gets its connections
			return nil, err
		}
	}
	return w, nil
}

// measure lets the crowds take turns, as what counts is the ratio between them.
func (w *hostsWorker) measure(o order) (reading, error) {
	var before [3]map[peerpool.Identity]uint64
	for i, tr := range w.transports {
		before[i] = served(tr)
	}
	cost, err := inTurns(w.crowds, o.Window)
	if err != nil {
		return reading{}, err
	}
	s := sample{"spread3": spread(w.transports[1], before[1], 3), "spread100": spread(w.transports[2], before[2], 100)}
	if _, _, measured := processTimes(); measured {
		s["address1"], s["address3"], s["address100"] = cost[0], cost[1], cost[2]
	}
	return reading{Values: s, Protocol: http1}, nil
}

// served returns how many requests each address has served.
func served(tr *peerpool.Transport) map[peerpool.Identity]uint64 {
	all := make(map[peerpool.Identity]uint64)
	for _, p := range tr.Stats().Peers {
		all[p.Identity] = p.Hits
	}
	return all
}

// spread returns by how many percent the address that has served the most, or the fewest, differs from an even share.
func spread(tr *peerpool.Transport, before map[peerpool.Identity]uint64, addresses int) float64 {
	var sum, most float64
	fewest, seen := -1.0, 0
	for id, n := range served(tr) {
		since := float64(n - before[id])
		sum += since
		most = max(most, since)
		if fewest < 0 || since < fewest {
			fewest = since
		}
		seen++
	}
	if seen < addresses {
		fewest = 0
	}
	even := sum / float64(addresses)
	if even == 0 {
		return 0
	}
	return 100 * max(most-even, even-fewest) / even
}
