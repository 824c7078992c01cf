package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/peerpool/peerpool"
	"github.com/peerpool/peerpool/internal/ascii"
)

// hostReport is a host with several addresses.
type hostReport struct {
	Host      string          `json:"host"`
	Addresses []addressReport `json:"addresses"` // in the resolver's order
}

type addressReport struct {
	Address  string                `json:"address"`
	Requests uint64                `json:"requests"`
	State    peerpool.AddressState `json:"state"`
	Failures int                   `json:"failures"` // connects, and requests, that have failed in a row
	Reason   string                `json:"reason,omitempty"`
}

// requests returns how many requests an identity has served.
func (w *witness) requests(id peerpool.Identity) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if use := w.identities[id]; use != nil {
		return use.Requests
	}
	return 0
}

func hostReports(hosts []peerpool.HostStats, requests func(peerpool.Identity) uint64) []hostReport {
	reports := []hostReport{}
	for _, h := range hosts {
		r := hostReport{Host: h.Identity.String()}
		for _, a := range h.Addresses {
			r.Addresses = append(r.Addresses, addressReport{
				Address: a.Addr.String(), Requests: requests(a.Identity), State: a.State,
				Failures: a.ConnectFailures + a.Failures, Reason: cmp.Or(a.Error, string(a.Reason)),
			})
		}
		reports = append(reports, r)
	}
	return reports
}

// hostsText lists the addresses of hosts that have several.
func hostsText(hosts []hostReport) string {
	var b strings.Builder
	for _, h := range hosts {
		t := table{texts: 1, note: true}
		t.add("address of "+h.Host, "requests", "state")
		for _, a := range h.Addresses {
			t.add(a.Address, count(a.Requests), a.state())
		}
		b.WriteString("\n" + t.text(""))
	}
	return b.String()
}

func (a addressReport) state() string {
	switch {
	case a.State != peerpool.AddressListed:
		return fmt.Sprintf("%s after %s: %s", a.State, several(uint64(a.Failures), "failure"), a.Reason)
	case a.Failures > 0:
		return several(uint64(a.Failures), "failure")
	}
	return string(a.State)
}

// balances are the values of -balance.
var balances = map[string]peerpool.Balance{
	"none": peerpool.BalanceNone, "round-robin": peerpool.BalanceRoundRobin, "least-requests": peerpool.BalanceLeastRequests,
}

// resolver knows the hosts that -resolve gives, and asks the system for the others.
type resolver map[string][]netip.Addr

// add reads the value of a -resolve: HOST=ADDRESS,ADDRESS.
func (r resolver) add(text string) error {
	host, list, _ := strings.Cut(text, "=")
	var addrs []netip.Addr
	for one := range strings.SplitSeq(list, ",") {
		addr, err := netip.ParseAddr(one)
		if host == "" || strings.ContainsAny(host, ":/") || err != nil { // no port: one would never be looked up
			return fmt.Errorf("write a host and its IP addresses, as in -resolve api.test=127.0.0.1,127.0.0.2")
		}
		addrs = append(addrs, addr)
	}
	r[ascii.ToLower(host)] = addrs
	return nil
}

// LookupNetIP implements [peerpool.Resolver].
func (r resolver) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if addrs := r[ascii.ToLower(host)]; addrs != nil {
		return slices.Clone(addrs), nil
	}
	return net.DefaultResolver.LookupNetIP(ctx, network, host)
}
