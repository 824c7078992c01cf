package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"

	"golang.org/x/net/dns/dnsmessage"
)

// names is a DNS server on the loopback interface. It knows one host. It returns the host's addresses in another order each
// time, as DNS servers do to spread the load.
type names struct {
	host    string
	addrs   []netip.Addr
	socket  net.PacketConn
	serving sync.WaitGroup
}

// startNames starts a server that runs until close.
func startNames(host string, addrs ...netip.Addr) (*names, error) {
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("no DNS server could be started: %w", err)
	}
	n := &names{host: host, addrs: addrs, socket: socket}
	n.serving.Go(n.serve)
	return n, nil
}

func (n *names) close() {
	n.socket.Close()
	n.serving.Wait()
}

// resolver returns a resolver that asks this server alone.
func (n *names) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", n.socket.LocalAddr().String())
	}}
}

// serve answers until the socket is closed.
func (n *names) serve() {
	const longest = 4 << 10 // bytes of a query
	buf := make([]byte, longest)
	for turn := 0; ; {
		size, from, err := n.socket.ReadFrom(buf)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(buf[:size]) != nil || len(m.Questions) != 1 {
			continue
		}
		m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
		switch q := m.Questions[0]; {
		case q.Name.String() != n.host+".":
			m.RCode = dnsmessage.RCodeNameError
		case q.Type == dnsmessage.TypeA:
			for _, addr := range slices.Concat(n.addrs[turn:], n.addrs[:turn]) {
				m.Answers = append(m.Answers, dnsmessage.Resource{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET},
					Body:   &dnsmessage.AResource{A: addr.As4()},
				})
			}
			turn = (turn + 1) % len(n.addrs)
		}
		packed, err := m.Pack()
		if err != nil {
			continue
		}
		_, _ = n.socket.WriteTo(packed, from) // a client without an answer asks again
	}
}
