package main

import (
	"net"
	"slices"
	"strings"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// addressedOrigins starts an origin on each address, all on one port, and skips the test where the system has no such
// addresses.
func addressedOrigins(t *testing.T, addrs ...string) (port string) {
	t.Helper()
	port = "0"
	for _, addr := range addrs {
		ln, err := net.Listen("tcp", net.JoinHostPort(addr, port))
		if err != nil {
			t.Skipf("%s cannot be listened on: %v", addr, err)
		}
		_, port, _ = net.SplitHostPort(ln.Addr().String())
		httptestutil.NewOrigin(t, httptestutil.OriginOptions{Listener: ln})
	}
	return port
}

func TestGetReportsTheAddressesOfAHost(t *testing.T) {
	httptestutil.CheckLeaks(t)
	port := addressedOrigins(t, "127.0.0.1", "127.0.0.2")
	r := reported(t.Context(), t, exitOK, "-n", "3000", "-c", "4", "-balance", "round-robin",
		"-resolve", "api.test=127.0.0.1,127.0.0.2,127.0.0.9", "http://api.test:"+port+"/")
	if len(r.Hosts) != 1 || len(r.Hosts[0].Addresses) != 3 || !strings.Contains(r.Hosts[0].Host, "api.test") {
		t.Fatalf("hosts %+v, want api.test with three addresses", r.Hosts)
	}
	var sum uint64
	for i, a := range r.Hosts[0].Addresses {
		sum += a.Requests
		if alive := i < 2; alive != (a.Requests > 0) || alive == (a.Failures > 0) {
			t.Errorf("address %+v", a)
		}
	}
	if sum != 3000 || r.Failed != 0 {
		t.Errorf("%d requests at the addresses, %d failed, want 3000 and none", sum, r.Failed)
	}
	dead := "127.0.0.9:" + port
	i := slices.IndexFunc(r.Identities, func(id identityReport) bool { return strings.Contains(id.Identity, dead) })
	if i < 0 || r.Identities[i].ConnectFailures == 0 || r.Identities[i].Requests != 0 {
		t.Errorf("identities %+v, want failed connects to %s", r.Identities, dead)
	}
	wantIn(t, r.text(), "address of ", "127.0.0.1:"+port, "listed", "failure")
}

func TestAHostWithOneAddressHasNoTable(t *testing.T) {
	r := reported(t.Context(), t, exitOK, answering(t, "").URL())
	if len(r.Hosts) != 0 || strings.Contains(r.text(), "address of") {
		t.Errorf("hosts %+v", r.Hosts)
	}
}
