package errors_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/net/dns/dnsmessage"
)

// names is a DNS server on loopback that knows a few names, each of which fails in a way of its own.
func init() {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go serveNames(pc) // ends with the process
	net.DefaultResolver = &net.Resolver{PreferGo: true, StrictErrors: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
}

func serveNames(pc net.PacketConn) {
	buf := make([]byte, 4096)
	for {
		n, from, err := pc.ReadFrom(buf)
		if err != nil {
			return
		}
		var query dnsmessage.Message
		if query.Unpack(buf[:n]) != nil || len(query.Questions) != 1 {
			continue
		}
		if reply := answerName(&query); reply != nil {
			packed, err := reply.Pack()
			if err != nil {
				panic(err)
			}
			_, _ = pc.WriteTo(packed, from)
		}
	}
}

// answerName answers by the first label of the name; nil is no answer.
func answerName(query *dnsmessage.Message) *dnsmessage.Message {
	q := query.Questions[0]
	reply := &dnsmessage.Message{Header: query.Header, Questions: query.Questions}
	reply.Response, reply.RecursionAvailable, reply.Additionals = true, true, nil
	switch what, _, _ := strings.Cut(q.Name.String(), "."); what {
	case "silent":
		return nil
	case "servfail":
		reply.RCode = dnsmessage.RCodeServerFailure
	case "refused":
		reply.RCode = dnsmessage.RCodeRefused
	case "empty": // the name exists, but has no address
	case "two", "proxy":
		if q.Type == dnsmessage.TypeA {
			for _, last := range []byte{1, 2}[:map[string]int{"two": 2, "proxy": 1}[what]] {
				reply.Answers = append(reply.Answers, dnsmessage.Resource{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1},
					Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, last}},
				})
			}
		}
	default:
		reply.RCode = dnsmessage.RCodeNameError
	}
	return reply
}

// faulty is a connection that fails with errors of the test's.
type faulty struct {
	net.Conn
	reads, writes error         // once their turn has come; nil: never
	asked         chan struct{} // closed by the first write: no read fails before
	once          sync.Once
	readable      int64        // bytes before reads
	writable      int64        // bytes before writes
	read, written atomic.Int64 // so far
}

func (c *faulty) Read(p []byte) (int, error) {
	if c.reads == nil {
		return c.Conn.Read(p)
	}
	left := c.readable - c.read.Load()
	if left <= 0 {
		<-c.asked
		return 0, c.reads
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), left)])
	c.read.Add(int64(n))
	return n, err
}

func (c *faulty) Write(p []byte) (int, error) {
	if c.writes == nil {
		n, err := c.Conn.Write(p)
		c.once.Do(func() { close(c.asked) })
		return n, err
	}
	left := c.writable - c.written.Load()
	if left < int64(len(p)) {
		n := 0
		if left > 0 {
			n, _ = c.Conn.Write(p[:left])
			c.written.Add(int64(n))
		}
		return n, c.writes
	}
	n, err := c.Conn.Write(p)
	c.written.Add(int64(n))
	return n, err
}
