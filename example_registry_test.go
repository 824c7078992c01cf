package peerpool_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"

	"github.com/peerpool/peerpool"
)

// registry stands for the client of a service registry: it sends the addresses of a service each time they change.
type registry struct {
	changes chan []netip.AddrPort
}

// Watch implements [peerpool.WatchResolver].
func (r *registry) Watch(ctx context.Context, host string, update func([]netip.AddrPort)) error {
	for {
		select {
		case addrs := <-r.changes:
			update(addrs)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// LookupNetIP is part of [peerpool.Resolver]. The Transport does not call it.
func (r *registry) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, network, host)
}

// A service registry tells the Transport which servers a service has, and on which ports. The Transport follows each change at once, and does
// not poll.
func ExampleWatchResolver() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "hello from ", r.Host)
	}))
	defer server.Close()

	services := &registry{changes: make(chan []netip.AddrPort, 1)}
	services.changes <- []netip.AddrPort{netip.MustParseAddrPort(server.Listener.Addr().String())}

	transport := &peerpool.Transport{Resolver: services, Balance: peerpool.BalanceLeastRequests}
	defer transport.Shutdown(context.Background())

	resp, err := (&http.Client{Transport: transport}).Get("http://orders.internal/")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 200 OK
}
