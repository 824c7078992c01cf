package http1

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"
	"unsafe"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

func TestThePlacesOfTheBuffersOfAHandshakeAreKnown(t *testing.T) {
	if n := len(handshakeBuffers); n != 2 {
		t.Errorf("%d of rawInput and hand are buffers of a tls.Conn: say in handshake_buffers.go what is used in their place", n)
	}
}

// TestWhatHasArrivedBehindAHandshakeIsKeptWithoutItsBuffers reads what a server sends together with the end of its handshake.
// With TLS 1.2, that message is the last one of the handshake.
func TestWhatHasArrivedBehindAHandshakeIsKeptWithoutItsBuffers(t *testing.T) {
	ca := httptestutil.NewCA(t)
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			const early = "early data of the server"
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			written := make(chan struct{})
			go func() { // ends with the connection
				nc, err := ln.Accept()
				ln.Close()
				if err != nil {
					return
				}
				server := tls.Server(nc, &tls.Config{Certificates: []tls.Certificate{ca.Server("example.test")}, MaxVersion: version})
				io.WriteString(server, early)
				close(written)
				io.Copy(io.Discard, server)
				server.Close()
			}()
			nc, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			nc.SetDeadline(time.Now().Add(time.Minute)) // so that data that is lost fails the test
			client := tls.Client(&lateReader{Conn: nc, until: written}, &tls.Config{RootCAs: ca.Pool(), ServerName: "example.test"})
			defer client.Close()
			if err := client.HandshakeContext(t.Context()); err != nil {
				t.Fatal(err)
			}
			before := heldInBuffers(client)
			FreeHandshakeBuffers(client)
			if after := heldInBuffers(client); after > before/2 {
				t.Errorf("the buffers hold %d bytes, and held %d before", after, before)
			}
			got := make([]byte, len(early))
			if _, err := io.ReadFull(client, got); err != nil || string(got) != early {
				t.Errorf("read %q, %v", got, err)
			}
		})
	}
}

// lateReader reads nothing between the client's second flight and the moment when the server has written.
type lateReader struct {
	net.Conn
	until  chan struct{}
	writes int
}

func (c *lateReader) Write(p []byte) (int, error) {
	c.writes++
	return c.Conn.Write(p)
}

func (c *lateReader) Read(p []byte) (int, error) {
	if c.writes >= 2 {
		<-c.until
	}
	return c.Conn.Read(p)
}

// heldInBuffers returns how much the buffers of a connection hold.
func heldInBuffers(t *tls.Conn) (n int) {
	for _, at := range handshakeBuffers {
		n += (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(t), at)).Cap()
	}
	return n
}
