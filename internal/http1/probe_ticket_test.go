package http1

import (
	"bytes"
	"crypto/tls"
	"net"
	"net/http/httptest"
	"testing"

	"github.com/peerpool/peerpool/internal/nettest"
)

// cutting is a connection that keeps the end of its first write until send is called.
type cutting struct {
	net.Conn
	keep int
	kept bytes.Buffer
}

func (c *cutting) Write(p []byte) (int, error) {
	cut := len(p) - c.keep
	c.kept.Write(p[cut:])
	c.keep = 0
	n, err := c.Conn.Write(p[:cut])
	return n + len(p) - cut, err
}

func (c *cutting) send() error {
	_, err := c.kept.WriteTo(c.Conn)
	return err
}

// ticketed returns a connection after a handshake. The server has sent a session ticket with the end of the handshake, but its
// last bytes are kept.
func ticketed(t *testing.T, under func(net.Conn) net.Conn) (*Conn, *cutting) {
	t.Helper()
	near, far := nettest.TCPPair(t)
	known := httptest.NewTLSServer(nil)
	defer known.Close()
	server := &cutting{Conn: far, keep: 20}
	shaken := make(chan error, 1)
	go func() {
		shaken <- tls.Server(server, &tls.Config{Certificates: known.TLS.Certificates, MinVersion: tls.VersionTLS13}).Handshake()
	}()
	nc := tls.Client(under(near), &tls.Config{
		InsecureSkipVerify: true, ServerName: "example.test", ClientSessionCache: tls.NewLRUClientSessionCache(1),
	})
	if err := nc.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-shaken; err != nil {
		t.Fatal(err)
	}
	return NewConn(nc), server
}

// layersUnderTLS are what may lie between TLS and the socket.
var layersUnderTLS = map[string]func(net.Conn) net.Conn{
	"our layer": UnderTLS,
	"nothing":   func(nc net.Conn) net.Conn { return nc },
	"our layer over a hidden socket": func(nc net.Conn) net.Conn {
		return UnderTLS(hidden{nc})
	},
}

func TestATicketThatArrivesInTwoPiecesIsNotUnexpected(t *testing.T) {
	for name, under := range layersUnderTLS {
		t.Run(name, func(t *testing.T) {
			c, server := ticketed(t, under)
			go server.send() // before the probe, or while it waits
			if found := c.Rest(); found != Quiet {
				t.Errorf("it finds %d when the connection becomes idle", found)
			}
			wantCondition(t, c, Quiet)
		})
	}
}

func TestATicketOfWhichTheRestDoesNotComeIsUnexpected(t *testing.T) {
	for name, under := range layersUnderTLS {
		t.Run(name, func(t *testing.T) {
			c, _ := ticketed(t, under)
			wantCondition(t, c, Unexpected)
		})
	}
}
