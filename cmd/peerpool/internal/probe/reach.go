package probe

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"
)

// Address is one address of the host.
type Address struct {
	Address string  `json:"address"`
	Seconds float64 `json:"connect_seconds,omitempty"`
	Error   string  `json:"error,omitempty"` // why no server answered there
}

// TLS holds the findings of handshakes.
type TLS struct {
	Version   string   `json:"version"`
	Resumes   bool     `json:"resumes"` // a second handshake needed no certificate
	Protocols []string `json:"protocols"`
}

// reach connects to every address of the host, one after the other.
func (p *prober) reach(ctx context.Context) error {
	host, port := p.URL.Hostname(), p.URL.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[p.URL.Scheme]
	}
	lookup, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	ips, err := net.DefaultResolver.LookupNetIP(lookup, "ip", host)
	if err != nil {
		return err
	}
	for _, ip := range ips {
		found := Address{Address: net.JoinHostPort(ip.Unmap().String(), port)}
		begun := time.Now()
		nc, err := p.dial(ctx, found.Address)
		if err != nil {
			found.Error = err.Error()
		} else {
			found.Seconds = time.Since(begun).Seconds()
			nc.Close()
			if p.address == "" {
				p.address = found.Address
			}
		}
		p.report.Addresses = append(p.report.Addresses, found)
	}
	if p.address == "" {
		return fmt.Errorf("none of %d addresses answers", len(ips))
	}
	return nil
}

// dial opens a connection, which is closed when ctx ends.
func (p *prober) dial(ctx context.Context, address string) (net.Conn, error) {
	dial := p.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: answerTime}).DialContext
	}
	nc, err := dial(ctx, "tcp", address)
	if err == nil {
		context.AfterFunc(ctx, func() { nc.Close() })
	}
	return nc, err
}

// connect opens a connection to the first address that answered. protocols are offered with ALPN.
func (p *prober) connect(ctx context.Context, sessions tls.ClientSessionCache, protocols ...string) (net.Conn, error) {
	nc, err := p.dial(ctx, p.address)
	if err != nil || p.URL.Scheme != "https" {
		return nc, err
	}
	config := p.Options.TLS.Clone()
	if config == nil {
		config = &tls.Config{}
	}
	if config.ServerName == "" {
		config.ServerName = p.URL.Hostname()
	}
	config.NextProtos, config.ClientSessionCache = protocols, sessions
	t := tls.Client(nc, config)
	shake, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if err := t.HandshakeContext(shake); err != nil {
		nc.Close()
		return nil, err
	}
	return t, nil
}

// ticketTime is how long a server may take to send the session tickets of TLS 1.3, which follow its handshake.
const ticketTime = 300 * time.Millisecond

// handshakes finds the TLS version, the protocols, and whether sessions are resumed.
func (p *prober) handshakes(ctx context.Context) error {
	if p.URL.Scheme != "https" {
		return nil
	}
	found := &TLS{}
	var failed error
	for _, protocol := range []string{"http/1.1", "h2"} {
		state, err := p.handshake(ctx, nil, protocol)
		if err != nil { // a server may refuse a client that offers nothing it speaks
			failed = err
			continue
		}
		found.Version = tls.VersionName(state.Version)
		if agreed := state.NegotiatedProtocol; agreed == protocol || agreed == "" && protocol == "http/1.1" {
			found.Protocols = append(found.Protocols, protocol)
		}
	}
	if len(found.Protocols) == 0 {
		return cmp.Or(failed, errors.New("the server agrees to neither HTTP/1.1 nor HTTP/2"))
	}
	sessions := tls.NewLRUClientSessionCache(1)
	for range 2 {
		state, err := p.handshake(ctx, sessions, found.Protocols[0])
		if err != nil {
			return err
		}
		found.Resumes = state.DidResume
	}
	p.report.TLS = found
	return nil
}

// handshake does one handshake, and waits for tickets if there is somewhere to keep them.
func (p *prober) handshake(ctx context.Context, sessions tls.ClientSessionCache, protocol string) (state tls.ConnectionState, err error) {
	nc, err := p.connect(ctx, sessions, protocol)
	if err != nil {
		return state, err
	}
	defer nc.Close()
	t := nc.(*tls.Conn)
	if sessions != nil {
		if err := t.SetReadDeadline(time.Now().Add(ticketTime)); err != nil {
			return state, err
		}
		_, _ = t.Read(make([]byte, 1)) // only tickets are expected, and Read takes them in before it times out
	}
	return t.ConnectionState(), nil
}

// speaks reports whether the server speaks a protocol. Without TLS, that is only HTTP/1.1.
func (p *prober) speaks(protocol string) bool {
	if p.report.TLS == nil {
		return protocol == "http/1.1"
	}
	return slices.Contains(p.report.TLS.Protocols, protocol)
}
