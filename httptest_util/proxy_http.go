package httptestutil

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
)

const connectGranted = "HTTP/1.1 200 Connection established\r\n\r\n"

// serveHTTP answers the requests of one connection.
func (p *Proxy) serveHTTP(c *proxyConn) {
	upstream := &http.Transport{DialContext: p.dial, DisableCompression: true}
	defer upstream.CloseIdleConnections()
	for {
		req, err := http.ReadRequest(c.br)
		if err != nil {
			return
		}
		asked := p.recordHTTP(c, req)
		keep := false
		switch f := p.currentFault(); {
		case f != nil:
			keep = p.faultyHTTP(c, req, asked, *f)
		case !p.welcome(asked):
			keep = c.refuse(req, http.StatusProxyAuthRequired, "Proxy-Authenticate: Basic realm=\"httptestutil\"")
		case req.Method == http.MethodConnect:
			keep = p.connect(c, asked, Fault{})
		default:
			keep = p.forward(c, req, upstream, asked)
		}
		if !keep {
			return
		}
	}
}

func (p *Proxy) recordHTTP(c *proxyConn, req *http.Request) *ProxyRequest {
	asked := &ProxyRequest{Method: req.Method, Target: req.RequestURI, Header: req.Header.Clone()}
	basic := http.Request{Header: http.Header{"Authorization": req.Header["Proxy-Authorization"]}}
	asked.Username, asked.Password, _ = basic.BasicAuth()
	p.record(c, asked)
	return asked
}

// welcome reports whether a request came with the right credentials.
func (p *Proxy) welcome(asked *ProxyRequest) bool {
	return p.opts.Username == "" ||
		asked.Username == p.opts.Username && asked.Password == p.opts.Password
}

// refuse answers with an error and reports whether another request can follow.
func (c *proxyConn) refuse(req *http.Request, status int, header ...string) bool {
	if _, err := io.Copy(io.Discard, req.Body); err != nil {
		return false
	}
	return c.write(ResponseWith(status, http.StatusText(status)+"\n", header...)) && !req.Close
}

// faultyHTTP misbehaves as the fault says. It reports whether another request
// can follow.
func (p *Proxy) faultyHTTP(c *proxyConn, req *http.Request, asked *ProxyRequest, f Fault) bool {
	if f.Then == EndTunnel && req.Method == http.MethodConnect {
		return p.connect(c, asked, f)
	}
	if _, err := io.Copy(io.Discard, req.Body); err != nil {
		return false
	}
	return p.misbehave(c, f) && f.Then == EndKeep
}

// connect opens a tunnel and carries bytes until it ends. It reports whether
// another request can follow. That is the case if the target did not answer.
func (p *Proxy) connect(c *proxyConn, asked *ProxyRequest, f Fault) bool {
	upstream, err := p.dial(p.ctx, "tcp", asked.Target)
	if err != nil {
		return c.write(ResponseWith(http.StatusBadGateway, err.Error()+"\n"))
	}
	if f.Answer == "" {
		f.Answer = connectGranted
	}
	p.grant(asked)
	if !c.write(f.Answer + f.Extra) {
		upstream.Close()
		return false
	}
	c.relay(upstream)
	return false
}

// forward sends a request in absolute-form to its origin, and passes on the
// answer. It reports whether another request can follow.
func (p *Proxy) forward(c *proxyConn, req *http.Request, upstream *http.Transport, asked *ProxyRequest) bool {
	if req.URL.Scheme != "http" || req.URL.Host == "" {
		return c.refuse(req, http.StatusBadRequest)
	}
	if req.Header.Get("Expect") != "" && !c.write("HTTP/1.1 100 Continue\r\n\r\n") {
		return false
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return false
	}
	out, err := http.NewRequestWithContext(p.ctx, req.Method, req.RequestURI, bytes.NewReader(body))
	if err != nil {
		return c.write(ResponseWith(http.StatusBadRequest, err.Error()+"\n"))
	}
	out.Header = req.Header.Clone()
	for _, name := range []string{"Connection", "Expect", "Keep-Alive", "Proxy-Authorization", "Proxy-Connection", "Te", "Upgrade"} {
		out.Header.Del(name)
	}
	out.Host = req.Host
	resp, err := upstream.RoundTrip(out)
	if err != nil {
		return c.write(ResponseWith(http.StatusBadGateway, err.Error()+"\n"))
	}
	p.grant(asked)
	return c.passOn(resp, req) == nil && !req.Close
}

// passOn writes an origin's answer to the client.
func (c *proxyConn) passOn(resp *http.Response, req *http.Request) error {
	defer resp.Body.Close()
	if !req.ProtoAtLeast(1, 1) {
		return errors.Join(resp.Write(c.nc), fmt.Errorf("httptestutil: %s does not go on", req.Proto))
	}
	resp.Close = false
	resp.Header.Del("Connection")
	if resp.ContentLength < 0 {
		resp.TransferEncoding = []string{"chunked"}
	}
	return resp.Write(c.nc)
}
