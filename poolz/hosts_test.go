package poolz

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/peerpool/peerpool"
)

// hosting is a pool with one host that has n addresses. Each address has served as many requests as its number says.
func hosting(t *testing.T, n int) *crowd {
	t.Helper()
	c := newCrowd(t, n+1)
	h := peerpool.HostStats{Identity: c.stats.Peers[n].Identity, Waiting: 1}
	c.stats.Peers = c.stats.Peers[:n]
	for i, peer := range c.stats.Peers {
		h.Addresses = append(h.Addresses, peerpool.AddressStats{
			Identity: peer.Identity, State: peerpool.AddressListed, Idle: 3, Active: 2,
			Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 1, byte(i)}), 80),
		})
	}
	c.stats.Hosts = []peerpool.HostStats{h}
	return c
}

// leaveOut has the i-th address of the host left out.
func (c *crowd) leaveOut(i int, state peerpool.AddressState, reason peerpool.EjectReason) {
	a := &c.stats.Hosts[0].Addresses[i]
	a.State, a.Reason = state, reason
	a.Since, a.Until = time.Now().Add(-10*time.Second), time.Now().Add(time.Hour+time.Second)
}

func TestAHostShowsEachOfFewAddressesInATable(t *testing.T) {
	for _, n := range []int{1, 3} {
		c := hosting(t, n)
		c.leaveOut(0, peerpool.AddressEjected, peerpool.EjectTimeout)
		body := get(newPage(c, nil), "").Body.String()
		if rows := strings.Count(body, "<tr data-address="); rows != n {
			t.Errorf("%d rows for %d addresses", rows, n)
		}
		wantIn(t, body, "10.0.1.0:80", "1 request waits", "1 ejected",
			`class="state ejected" title="`+addressStates[peerpool.AddressEjected]+`"`, "requests timed out, since 10 s, tried again in 1 h")
		if strings.Contains(body, `class="square load`) {
			t.Errorf("squares for %d addresses", n)
		}
	}
}

func TestAHostShowsManyAddressesAsSquaresAndTheUnwellInATable(t *testing.T) {
	c := hosting(t, 100)
	for i := range unwellInTable + 2 {
		c.leaveOut(i, peerpool.AddressAvoided, peerpool.EjectConnect)
	}
	body := get(newPage(c, nil), "?n=1").Body.String()
	if n := strings.Count(body, `class="square load`); n != 100 {
		t.Errorf("%d squares for 100 addresses", n)
	}
	if rows := strings.Count(body, "<tr data-address="); rows != unwellInTable {
		t.Errorf("%d addresses in the table, want %d", rows, unwellInTable)
	}
	wantIn(t, body, "100 addresses, 7 avoided", "2 more addresses are not well", "10.0.1.99:80: listed, 2 active, 3 idle, 2.0 % of the attempts",
		`class="square load1 avoided"`, `class="square load4 listed"`)
	if size := len(body); size > 100<<10 {
		t.Errorf("the page has %d bytes", size)
	}
}

func TestTheDocumentHasEachAddressOfAHost(t *testing.T) {
	c := hosting(t, 3)
	c.leaveOut(2, peerpool.AddressAvoided, peerpool.EjectSilent)
	c.stats.LookupFailures, c.stats.ConnectFailures = 7, 9
	p := newPage(c, nil)
	var d document
	if err := json.Unmarshal(get(p, "?format=json").Body.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	if len(d.Hosts) != 1 || len(d.Hosts[0].Addresses) != 3 || d.LookupFails != 7 || d.ConnectFails != 9 {
		t.Fatalf("hosts %+v, %d look-ups and %d connects failed", d.Hosts, d.LookupFails, d.ConnectFails)
	}
	a := d.Hosts[0].Addresses[2]
	if a.Address != "10.0.1.2:80" || a.State != "avoided" || !strings.HasPrefix(a.Why, "a connect was not answered") || a.Idle != 3 || a.Attempts != 3 || a.Percent != 50 {
		t.Errorf("address %+v", a)
	}
	wantIn(t, get(p, "").Body.String(), `data-stat="lookups" class="bad">7<`, `data-stat="connects" class="warn">9<`)
}

func TestAThousandHostsMakeNoHugePage(t *testing.T) {
	c := hosting(t, 3)
	for range 1000 {
		c.stats.Hosts = append(c.stats.Hosts, c.stats.Hosts[0])
	}
	body := get(newPage(c, nil), "").Body.String()
	if n := strings.Count(body, `class="host"`); n != hostsOnPage {
		t.Errorf("%d hosts on the page, want %d", n, hostsOnPage)
	}
	wantIn(t, body, "and 981 more hosts")
}

func TestAnAddressLeadsToItsIdentity(t *testing.T) {
	p := newPage(hosting(t, 3), nil)
	m := regexp.MustCompile(`<tr data-address="10.0.1.2:80"><th scope="row"><a href="([^"]*)">`).FindStringSubmatch(get(p, "").Body.String())
	if m == nil {
		t.Fatal("the address leads nowhere")
	}
	wantIn(t, get(p, m[1]).Body.String(), "http://host-00002.test:80")
}

func TestThePageExplainsEveryStateOfAnAddress(t *testing.T) {
	for _, state := range peerpool.AddressStates() {
		if addressStates[state] == "" || !strings.Contains(styleCSS, ".state."+string(state)) && state != peerpool.AddressLeaving {
			t.Errorf("the state %s is not explained, or has no color (poolz/hosts.go, poolz/style.css)", state)
		}
	}
	for _, reason := range peerpool.EjectReasons() {
		if ejectReasons[reason] == "" {
			t.Errorf("the reason %s is not explained (poolz/hosts.go)", reason)
		}
	}
}

func TestHostsLookWellOnDesktopAndPhone(t *testing.T) {
	for _, n := range []int{1, 3, 100} {
		c := hosting(t, n)
		c.leaveOut(0, peerpool.AddressEjected, peerpool.EjectRequest)
		srv := httptest.NewServer(newPage(c, nil))
		t.Cleanup(srv.Close)
		for _, width := range []int{desktop, phone} {
			l := photograph(t, srv.URL+"/?n=3&refresh=0", width, 3500, darkScheme)
			if !l.isPlain(0) || !l.isPlain(width-1) || !l.isPlain(width-4) {
				t.Errorf("%d addresses, %d pixels: something is wider than the window", n, width)
			}
			if dir := keepPictures; dir != "" {
				l.save(fmt.Sprintf("%s/hosts-%d-%d.png", dir, n, width))
			}
		}
	}
}
