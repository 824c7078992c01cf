package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peerpool/peerpool"
)

// membersSpec asks for a host whose members come, go, hang and reset.
type membersSpec struct {
	Members bool
	Balance peerpool.Balance
	For     time.Duration // how long the members do so
}

// memberComparisons compare what becomes of requests while the members of a host change. They are short, and count.
func memberComparisons(short bool) (all []comparison) {
	long := 4 * time.Second
	if short {
		long = 600 * time.Millisecond
	}
	for _, b := range []struct {
		name    string
		balance peerpool.Balance
	}{{"round robin", peerpool.BalanceRoundRobin}, {"least requests", peerpool.BalanceLeastRequests}} {
		all = append(all, comparison{
			name:       "4 members that come, go, hang and reset, " + b.name + ", 16 callers with GET and 4 with POST",
			candidates: []candidate{netHTTP, ours}, baseline: netHTTP, metric: "lostpost",
			columns: []string{"memberget", "lostget", "memberpost", "lostpost", "share"},
			spec:    membersSpec{Members: true, Balance: b.balance, For: long}, rounds: 2,
			targets: []target{{"lostget", "", 0}},
		})
	}
	return all
}

// roll is the list of members that a resolver gives. Each answer begins with another one.
type roll struct {
	mu    sync.Mutex
	addrs []netip.Addr
	asked int
}

func (r *roll) set(addrs ...netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addrs = addrs
}

// LookupNetIP implements [peerpool.Resolver].
func (r *roll) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	first := r.asked % len(r.addrs)
	return slices.Concat(r.addrs[first:], r.addrs[:first]), nil
}

// dial connects to the first member that answers, as a net.Dialer does with the addresses of a name.
func (r *roll) dial(ctx context.Context, network, addr string) (conn net.Conn, err error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	addrs, _ := r.LookupNetIP(ctx, "ip", "")
	for _, a := range addrs {
		d := net.Dialer{Timeout: time.Second}
		if conn, err = d.DialContext(ctx, network, net.JoinHostPort(a.String(), port)); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// member is a server that can hang, reset its connections, and go.
type member struct {
	addr   netip.AddrPort
	server *http.Server
	served atomic.Int64
	hangs  sync.RWMutex // held for writing while the member hangs
}

// newMember starts a member. With the port 0 it takes any.
func newMember(addr netip.AddrPort) (*member, error) {
	m := &member{addr: addr}
	return m, m.start()
}

func (m *member) start() error {
	l, err := net.Listen("tcp", m.addr.String())
	if err != nil {
		return err
	}
	m.addr = netip.MustParseAddrPort(l.Addr().String())
	m.server = &http.Server{Handler: m}
	go m.server.Serve(l) // ends with the server
	return nil
}

func (m *member) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.hangs.RLock()
	m.served.Add(1)
	m.hangs.RUnlock()
	_, _ = io.Copy(io.Discard, r.Body)
	_, _ = w.Write([]byte("well"))
}

// cluster is what the members of a host go through.
type cluster struct {
	members []*member
	roll    *roll
}

func newCluster(n int) (*cluster, error) {
	c := &cluster{roll: &roll{}}
	var port uint16
	for i := range n {
		m, err := newMember(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 4, 0, byte(i + 1)}), port))
		if err != nil {
			c.close()
			return nil, err
		}
		port = m.addr.Port()
		c.members = append(c.members, m)
	}
	return c, nil
}

func (c *cluster) close() {
	for _, m := range c.members {
		m.server.Close()
	}
}

// list makes the resolver list all members but one.
func (c *cluster) list(but *member) {
	var addrs []netip.Addr
	for _, m := range c.members {
		if m != but {
			addrs = append(addrs, m.addr.Addr())
		}
	}
	c.roll.set(addrs...)
}

// trouble lets one member after the other have its trouble, for a while.
func (c *cluster) trouble(long time.Duration) error {
	for i, end := 0, time.Now().Add(long); time.Now().Before(end); i++ {
		m := c.members[i%len(c.members)]
		switch i / len(c.members) % 3 {
		case 0: // it leaves the list, ends as a server that is told to, and comes back
			c.list(m)
			time.Sleep(100 * time.Millisecond)
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			_ = m.server.Shutdown(ctx)
			cancel()
			if err := m.start(); err != nil {
				return err
			}
			c.list(nil)
		case 1: // it stands still
			m.hangs.Lock()
			time.Sleep(150 * time.Millisecond)
			m.hangs.Unlock()
		case 2: // it crashes, and is started again
			m.server.Close()
			time.Sleep(100 * time.Millisecond)
			if err := m.start(); err != nil {
				return err
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil
}

// load is callers that send requests one after the other until they are told to stop.
type load struct {
	client     http.RoundTripper
	url        string
	stop       chan struct{}
	callers    sync.WaitGroup
	sent, lost [2]atomic.Int64 // GETs, and POSTs
}

func (l *load) begin(callers int, method string, counts int) {
	body := bytes.Repeat([]byte("x"), 64)
	for range callers {
		l.callers.Go(func() { // ends with stop
			for {
				select {
				case <-l.stop:
					return
				case <-time.After(time.Millisecond):
				}
				l.sent[counts].Add(1)
				if l.send(method, body) != nil {
					l.lost[counts].Add(1)
				}
			}
		})
	}
}

func (l *load) send(method string, body []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if method == http.MethodGet {
		body = nil
	}
	req, err := http.NewRequestWithContext(ctx, method, l.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := l.client.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// membersWorker measures what one candidate makes of a host whose members change.
type membersWorker struct {
	candidate candidate
	spec      membersSpec
}

func (w membersWorker) transport(r *roll) http.RoundTripper {
	if w.candidate == ours {
		return &peerpool.Transport{
			Resolver: r, Balance: w.spec.Balance, DNSRefresh: 50 * time.Millisecond, MaxIdleConnsPerHost: unlimited,
		}
	}
	return &http.Transport{DialContext: r.dial, MaxIdleConnsPerHost: unlimited}
}

func (w membersWorker) measure(order) (reading, error) {
	c, err := newCluster(4)
	if err != nil {
		return reading{}, err
	}
	defer c.close()
	newest := c.members[3]
	c.list(newest)
	tr := w.transport(c.roll)
	defer tr.(interface{ CloseIdleConnections() }).CloseIdleConnections()
	l := &load{client: tr, url: fmt.Sprintf("http://svc.test:%d/", newest.addr.Port()), stop: make(chan struct{})}
	l.begin(16, http.MethodGet, 0)
	l.begin(4, http.MethodPost, 1)
	time.Sleep(300 * time.Millisecond)
	share, found := c.timeToShare(newest)
	err = c.trouble(w.spec.For)
	close(l.stop)
	l.callers.Wait()
	s := sample{
		"memberget": float64(l.sent[0].Load()), "lostget": float64(l.lost[0].Load()),
		"memberpost": float64(l.sent[1].Load()), "lostpost": float64(l.lost[1].Load()),
	}
	if found {
		s["share"] = float64(share.Microseconds()) / 1000
	}
	return reading{Values: s, Protocol: http1}, err
}

// timeToShare lists a new member, and returns how long it takes until the member gets nine tenths of an even share. It
// gives up after a second.
func (c *cluster) timeToShare(newest *member) (time.Duration, bool) {
	c.list(nil)
	start := time.Now()
	for time.Since(start) < time.Second {
		before, all := newest.served.Load(), c.served()
		time.Sleep(20 * time.Millisecond)
		if mine, all := newest.served.Load()-before, c.served()-all; all > 0 && mine*int64(len(c.members))*10 >= 9*all {
			return time.Since(start), true
		}
	}
	return 0, false
}

// served returns how many requests all members have served.
func (c *cluster) served() (n int64) {
	for _, m := range c.members {
		n += m.served.Load()
	}
	return n
}
