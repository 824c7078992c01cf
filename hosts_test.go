package peerpool

import (
	"encoding/json"
	"strings"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/nettest"
)

func TestHostsTellWhichAddressIsLeftOutAndWhy(t *testing.T) {
	peerNeedsSecondLoopback(t)
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	r := &httptestutil.Resolver{}
	r.Set(t, "a.test", "127.0.0.2", "127.0.0.1") // of which the first refuses
	tr := peerTransport(t, &Transport{Resolver: r})
	for range defaultFailures {
		peerGet(t, tr, peerURL(t, o, "a.test"), nil)
		o.CloseConns()
		nettest.Eventually(t, "nothing idles", func() bool { return tr.Stats().Idle == 0 })
	}
	peerGet(t, tr, peerURL(t, o, "a.test"), nil)
	hosts := tr.Hosts()
	if len(hosts) != 1 || hosts[0].Identity.Address() != "a.test:"+peerPort(t, o.Addr()) || len(hosts[0].Addresses) != 2 {
		t.Fatalf("the hosts are %+v", hosts)
	}
	refuses, answers := hosts[0].Addresses[0], hosts[0].Addresses[1]
	if refuses.State != AddressAvoided || refuses.Reason != EjectConnect || refuses.Error == "" || !refuses.Until.After(refuses.Since) ||
		refuses.ConnectFailures != defaultFailures {
		t.Errorf("the one that refuses: %+v", refuses)
	}
	if answers.State != AddressListed || answers.ConnectFailures != 0 || answers.Identity.Address() != o.Addr() {
		t.Errorf("the one that answers: %+v", answers)
	}
}

func TestAHostWithOneAddressIsNotAmongHosts(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	tr := peerTransport(t, &Transport{Resolver: peerLoopback(t, "a.test")})
	peerGet(t, tr, peerURL(t, o, "a.test"), nil)
	if hosts := tr.Hosts(); len(hosts) != 0 {
		t.Errorf("the hosts are %+v, want none", hosts)
	}
}

func TestStatsHaveNoNullInJSON(t *testing.T) {
	b, err := json.Marshal(new(Transport).Stats())
	if err != nil || strings.Contains(string(b), "null") {
		t.Errorf("%s, %v", b, err)
	}
}
