package httptestutil

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Numbers of RFC 1928 and RFC 1929.
const (
	socksVersion     = 5
	socksAuthVersion = 1

	socksNoAuth       = 0x00
	socksUserPassword = 0x02
	socksNoMethod     = 0xff

	socksConnect = 0x01

	socksIPv4 = 0x01
	socksName = 0x03
	socksIPv6 = 0x04

	socksGranted         = 0x00
	socksHostUnreachable = 0x04
	socksUnknownCommand  = 0x07
)

// serveSOCKS5 carries the one connection that c asks for.
func (p *Proxy) serveSOCKS5(c *proxyConn) {
	// The handshake must end within Bound. The tunnel may last longer.
	if err := c.raw.SetDeadline(time.Now().Add(Bound)); err != nil {
		return
	}
	asked := &ProxyRequest{Method: http.MethodConnect}
	if err := p.socksAuthenticate(c, asked); err != nil {
		return
	}
	command, target, err := c.socksRequest()
	if err != nil {
		return
	}
	asked.Target = target
	p.record(c, asked)
	if command != socksConnect {
		c.write(socksReply(socksUnknownCommand))
		return
	}
	var fault Fault
	if f := p.currentFault(); f != nil {
		if fault = *f; fault.Then != EndTunnel {
			p.misbehave(c, fault)
			return
		}
	}
	upstream, err := p.dial(p.ctx, "tcp", target)
	if err != nil {
		c.write(socksReply(socksHostUnreachable))
		return
	}
	defer upstream.Close()
	p.grant(asked)
	if fault.Answer == "" {
		fault.Answer = socksReply(socksGranted)
	}
	if c.write(fault.Answer+fault.Extra) && c.raw.SetDeadline(time.Time{}) == nil {
		c.relay(upstream)
	}
}

// socksAuthenticate agrees on a method with the client and notes the
// credentials that the client sends. If it refuses the client, it records a
// request without a target, because the client has not sent one yet.
func (p *Proxy) socksAuthenticate(c *proxyConn, asked *ProxyRequest) error {
	methods, err := c.socksMethods()
	if err != nil {
		return err
	}
	switch {
	case methods[socksUserPassword]:
		return p.socksLogin(c, asked)
	case methods[socksNoAuth] && p.opts.Username == "":
		_, err := c.nc.Write([]byte{socksVersion, socksNoAuth})
		return err
	}
	p.record(c, asked)
	_, err = c.nc.Write([]byte{socksVersion, socksNoMethod})
	return errors.Join(errors.New("no method in common"), err)
}

func (c *proxyConn) socksMethods() (map[byte]bool, error) {
	head, err := c.read(2)
	if err != nil {
		return nil, err
	}
	if head[0] != socksVersion {
		return nil, fmt.Errorf("SOCKS version %d", head[0])
	}
	offered, err := c.read(int(head[1]))
	if err != nil {
		return nil, err
	}
	methods := map[byte]bool{}
	for _, m := range offered {
		methods[m] = true
	}
	return methods, nil
}

// socksLogin does the sub-negotiation of RFC 1929.
func (p *Proxy) socksLogin(c *proxyConn, asked *ProxyRequest) error {
	if _, err := c.nc.Write([]byte{socksVersion, socksUserPassword}); err != nil {
		return err
	}
	version, err := c.read(1)
	if err != nil {
		return err
	}
	if version[0] != socksAuthVersion {
		return fmt.Errorf("authentication version %d", version[0])
	}
	username, err := c.readCounted()
	if err != nil {
		return err
	}
	password, err := c.readCounted()
	if err != nil {
		return err
	}
	asked.Username, asked.Password = string(username), string(password)
	if !p.welcome(asked) {
		p.record(c, asked)
		_, err := c.nc.Write([]byte{socksAuthVersion, 1})
		return errors.Join(errors.New("wrong credentials"), err)
	}
	_, err = c.nc.Write([]byte{socksAuthVersion, 0})
	return err
}

// socksRequest reads the request of RFC 1928 section 4.
func (c *proxyConn) socksRequest() (command byte, target string, err error) {
	head, err := c.read(4)
	if err != nil {
		return 0, "", err
	}
	if head[0] != socksVersion {
		return 0, "", fmt.Errorf("SOCKS version %d", head[0])
	}
	var host string
	switch head[3] {
	case socksName:
		name, err := c.readCounted()
		if err != nil {
			return 0, "", err
		}
		host = string(name)
	case socksIPv4, socksIPv6:
		size := net.IPv4len
		if head[3] == socksIPv6 {
			size = net.IPv6len
		}
		ip, err := c.read(size)
		if err != nil {
			return 0, "", err
		}
		host = net.IP(ip).String()
	default:
		return 0, "", fmt.Errorf("address type %d", head[3])
	}
	port, err := c.read(2)
	if err != nil {
		return 0, "", err
	}
	return head[1], net.JoinHostPort(host, strconv.Itoa(int(port[0])<<8|int(port[1]))), nil
}

// socksReply returns the reply of RFC 1928 section 6, without an address.
func socksReply(code byte) string {
	return string([]byte{socksVersion, code, 0, socksIPv4, 0, 0, 0, 0, 0, 0})
}

func (c *proxyConn) read(n int) ([]byte, error) {
	p := make([]byte, n)
	_, err := io.ReadFull(c.br, p)
	return p, err
}

// readCounted reads a byte, and then as many bytes as its value says.
func (c *proxyConn) readCounted() ([]byte, error) {
	n, err := c.read(1)
	if err != nil {
		return nil, err
	}
	return c.read(int(n[0]))
}
