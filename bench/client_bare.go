package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"net"
)

// bareClient writes the same bytes to a socket of its own, and reads as many as the answer has.
type bareClient struct {
	spec requestSpec
	at   endpoint
	tls  *tls.Config
}

func (c *bareClient) protocol() string { return http1 }

func (c *bareClient) newCall() (call, error) {
	request, err := c.requestBytes()
	if err != nil {
		return nil, err
	}
	nc, err := c.dial()
	if err != nil {
		return nil, err
	}
	answer, buf := len(answers[c.spec.Path]), make([]byte, 4<<10)
	return func() error {
		if _, err := nc.Write(request); err != nil {
			return err
		}
		for left := answer; left > 0; {
			n, err := nc.Read(buf[:min(left, len(buf))])
			if left -= n; err != nil {
				return err
			}
		}
		return nil
	}, nil
}

func (c *bareClient) dial() (net.Conn, error) {
	nc, err := net.Dial("tcp", c.spec.address(c.at))
	if err != nil || !c.spec.TLS {
		return nc, err
	}
	config := c.tls.Clone()
	config.ServerName = "127.0.0.1"
	return tls.Client(nc, config), nil
}

// requestBytes is the request as net/http writes it.
func (c *bareClient) requestBytes() ([]byte, error) {
	req, err := c.spec.newRequest(c.at)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := bufio.NewWriter(&b)
	if err := req.Write(w); err != nil {
		return nil, err
	}
	err = w.Flush()
	return b.Bytes(), err
}
