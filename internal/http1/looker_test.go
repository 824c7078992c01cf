package http1

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http/httptest"
	"testing"

	"github.com/peerpool/peerpool/internal/exchange"
	"github.com/peerpool/peerpool/internal/nettest"
)

// gathering is a connection that keeps what is written to it, once on is set, until send is called.
type gathering struct {
	net.Conn
	on      bool
	written bytes.Buffer
}

func (g *gathering) Write(p []byte) (int, error) {
	if g.on {
		return g.written.Write(p)
	}
	return g.Conn.Write(p)
}

func (g *gathering) send() error {
	_, err := g.written.WriteTo(g.Conn)
	return err
}

func TestALookerReadsTheRecordsThatTLSHolds(t *testing.T) {
	near, far := nettest.TCPPair(t)
	known := httptest.NewTLSServer(nil)
	defer known.Close()
	below := &gathering{Conn: far}
	peer := tls.Server(below, &tls.Config{Certificates: known.TLS.Certificates, SessionTicketsDisabled: true})
	shaken := make(chan error, 1)
	go func() { shaken <- peer.Handshake() }()
	nc := tls.Client(UnderTLS(near), &tls.Config{InsecureSkipVerify: true})
	if err := nc.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-shaken; err != nil {
		t.Fatal(err)
	}
	l := NewLooker(nc)
	p := make([]byte, 100)
	if n, err := l.ReadHeld(p); n != 0 || !exchange.IsTimeout(err) {
		t.Fatalf("before anything has come: %d bytes, %v", n, err)
	}
	below.on = true
	for _, record := range []string{"one", "two", "three"} {
		if _, err := io.WriteString(peer, record); err != nil {
			t.Fatal(err)
		}
	}
	if err := below.send(); err != nil {
		t.Fatal(err)
	}
	if n, err := nc.Read(p); string(p[:n]) != "one" || err != nil {
		t.Fatalf("%q, %v", p[:n], err)
	}
	for _, want := range []string{"two", "three"} {
		if n, err := l.ReadHeld(p); string(p[:n]) != want || err != nil {
			t.Errorf("%q, %v", p[:n], err)
		}
	}
	if n, err := l.ReadHeld(p); n != 0 || !exchange.IsTimeout(err) {
		t.Errorf("after all records: %d bytes, %v", n, err)
	}
	far.CloseWrite()
	if _, err := nc.Read(p); err == nil || exchange.IsTimeout(err) {
		t.Errorf("the connection can no longer be read from: %v", err)
	}
}
