package planted_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/peerpool/peerpool"
)

// wrapping is what may lie between a Transport and the kernel. A new one is a row more.
type wrapping struct {
	tls  bool // to the server
	wrap func(*planting, *peerpool.Transport)
	// blind says that nobody can see a part of a TLS record: neither the kernel nor crypto/tls tells.
	blind bool
	// late says that what arrives is seen when the goroutine that reads has run: there is no socket to be seen below, or
	// TLS that takes it out of there.
	late bool
}

// wrappings: everything that has arrived is seen through all of them.
var wrappings = map[string]wrapping{
	"plain":                            {wrap: ownDialer},
	"TLS":                              {tls: true, wrap: ownDialer},
	"TLS through a proxy":              {tls: true, wrap: throughProxy(false)},
	"TLS through an https proxy":       {tls: true, wrap: throughProxy(true)},
	"a dial function":                  {wrap: dialing(func(nc net.Conn) net.Conn { return nc })},
	"TLS over a dial function":         {tls: true, wrap: dialing(func(nc net.Conn) net.Conn { return nc })},
	"a hidden socket":                  {wrap: dialing(hide)},
	"TLS over a hidden socket":         {tls: true, wrap: dialing(hide)},
	"a socket hidden for good":         {wrap: dialing(bury)},
	"TLS over a socket hidden so":      {tls: true, wrap: dialing(bury)},
	"memory":                           {late: true, wrap: dialing(pump)},
	"TLS over memory":                  {tls: true, late: true, wrap: dialing(pump)},
	"a slow wrapper":                   {wrap: dialing(slow)},
	"TLS over a slow wrapper":          {tls: true, wrap: dialing(slow)},
	"a wrapper that reads ahead":       {wrap: dialing(readAhead)},
	"TLS over one that reads ahead":    {tls: true, wrap: dialing(readAhead)},
	"crypto/tls from a dial function":  {tls: true, wrap: dialingTLS(func(tc *tls.Conn, _ *net.TCPConn) net.Conn { return tc })},
	"crypto/tls that shows its socket": {tls: true, blind: true, late: true, wrap: dialingTLS(showSocket)},
	"a foreign TLS":                    {tls: true, blind: true, late: true, wrap: dialingTLS(func(tc *tls.Conn, _ *net.TCPConn) net.Conn { return foreign{tc} })},
}

func ownDialer(p *planting, tr *peerpool.Transport) { tr.Dialer = &p.dialer }

// dialing has a dial function return what wrap makes of its sockets.
func dialing(wrap func(net.Conn) net.Conn) func(*planting, *peerpool.Transport) {
	return func(p *planting, tr *peerpool.Transport) {
		tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := p.dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return wrap(nc), nil
		}
	}
}

// dialingTLS has a dial function return what wrap makes of TLS over its sockets.
func dialingTLS(wrap func(*tls.Conn, *net.TCPConn) net.Conn) func(*planting, *peerpool.Transport) {
	return func(p *planting, tr *peerpool.Transport) {
		tr.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := p.dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			tc := tls.Client(nc, tr.TLSClientConfig)
			return wrap(tc, nc.(*net.TCPConn)), tc.HandshakeContext(ctx)
		}
	}
}

// throughProxy sends the requests through a tunnel.
func throughProxy(secure bool) func(*planting, *peerpool.Transport) {
	return func(p *planting, tr *peerpool.Transport) {
		tr.Dialer = &p.dialer
		tr.Proxy = http.ProxyURL(p.relay(secure))
	}
}

// hide returns a connection that does not show its socket.
func hide(nc net.Conn) net.Conn { return struct{ net.Conn }{nc} }

// buried is a connection that hides its socket and everything else that it contains.
type buried struct{ nc net.Conn }

func bury(nc net.Conn) net.Conn { return buried{nc} }

func (c buried) Read(p []byte) (int, error)         { return c.nc.Read(p) }
func (c buried) Write(p []byte) (int, error)        { return c.nc.Write(p) }
func (c buried) Close() error                       { return c.nc.Close() }
func (c buried) LocalAddr() net.Addr                { return c.nc.LocalAddr() }
func (c buried) RemoteAddr() net.Addr               { return c.nc.RemoteAddr() }
func (c buried) SetDeadline(t time.Time) error      { return c.nc.SetDeadline(t) }
func (c buried) SetReadDeadline(t time.Time) error  { return c.nc.SetReadDeadline(t) }
func (c buried) SetWriteDeadline(t time.Time) error { return c.nc.SetWriteDeadline(t) }

// pump returns a connection in memory whose other end is copied to and from nc.
func pump(nc net.Conn) net.Conn {
	near, far := net.Pipe()
	go func() {
		io.Copy(nc, far)
		nc.Close()
	}()
	go func() {
		io.Copy(far, nc)
		far.Close()
	}()
	return near
}

// slowness is a connection that takes its time before each Read of the one underneath.
type slowness struct{ net.Conn }

func slow(nc net.Conn) net.Conn { return slowness{nc} }

func (c slowness) Read(p []byte) (int, error) {
	time.Sleep(time.Millisecond)
	return c.Conn.Read(p)
}

// buffered is a connection that reads ahead by itself, and shows its socket all the same.
type buffered struct {
	*net.TCPConn
	r *bufio.Reader
}

func readAhead(nc net.Conn) net.Conn {
	return &buffered{nc.(*net.TCPConn), bufio.NewReaderSize(nc, 32<<10)}
}

func (c *buffered) Read(p []byte) (int, error) { return c.r.Read(p) }

// shown is TLS of a dial function that shows the socket below it.
type shown struct {
	*tls.Conn
	tcp *net.TCPConn
}

func showSocket(tc *tls.Conn, tcp *net.TCPConn) net.Conn { return shown{tc, tcp} }

func (c shown) SyscallConn() (syscall.RawConn, error) { return c.tcp.SyscallConn() }

// foreign stands for an implementation of TLS that is not that of the standard library.
type foreign struct{ tc *tls.Conn }

func (c foreign) Read(p []byte) (int, error)           { return c.tc.Read(p) }
func (c foreign) Write(p []byte) (int, error)          { return c.tc.Write(p) }
func (c foreign) Close() error                         { return c.tc.Close() }
func (c foreign) LocalAddr() net.Addr                  { return c.tc.LocalAddr() }
func (c foreign) RemoteAddr() net.Addr                 { return c.tc.RemoteAddr() }
func (c foreign) SetDeadline(t time.Time) error        { return c.tc.SetDeadline(t) }
func (c foreign) SetReadDeadline(t time.Time) error    { return c.tc.SetReadDeadline(t) }
func (c foreign) SetWriteDeadline(t time.Time) error   { return c.tc.SetWriteDeadline(t) }
func (c foreign) ConnectionState() tls.ConnectionState { return c.tc.ConnectionState() }

// relay starts a proxy for one CONNECT a connection, with TLS or without, that says how much it has passed on.
func (p *planting) relay(secure bool) *url.URL {
	ln := listen(p.t)
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go p.tunnel(nc, secure)
		}
	}()
	p.relayed = new(atomic.Int64)
	u := &url.URL{Scheme: "http", Host: ln.Addr().String()}
	if secure {
		u.Scheme = "https"
	}
	return u
}

func (p *planting) tunnel(nc net.Conn, secure bool) {
	defer nc.Close()
	socket := nc
	if secure {
		nc = tls.Server(nc, p.serverTLS)
	}
	in := bufio.NewReader(nc)
	req, err := http.ReadRequest(in)
	if err != nil {
		return
	}
	up, err := net.Dial("tcp", req.Host)
	if err != nil {
		return
	}
	defer up.Close()
	io.WriteString(nc, "HTTP/1.1 200 OK\r\n\r\n")
	go func() {
		io.Copy(up, in)
		up.Close()
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := up.Read(buf)
		if _, werr := nc.Write(buf[:n]); err != nil || werr != nil {
			return
		}
		acked(socket)
		p.relayed.Add(int64(n))
	}
}

func listen(t *testing.T) net.Listener {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}
