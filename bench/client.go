package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/peerpool/peerpool"
	"github.com/valyala/fasthttp"
)

// call sends one request and reads its response to the end.
type call func() error

// client makes the calls of one candidate. Each goroutine needs a call of its own.
type client interface {
	newCall() (call, error)
	protocol() string // of the responses, after the first call
}

// requestSpec is what is sent, and how.
type requestSpec struct {
	Method     string
	Path       string
	Body       int // bytes
	TLS        bool
	Cancelable bool // the request's context can be canceled
	Client     bool // through http.Client.Do with a Timeout
	HTTP2      bool // ask for it
	Capped     bool // the server allows cappedStreams at once
}

// address returns where the requests go.
func (s requestSpec) address(at endpoint) string {
	switch {
	case s.HTTP2 && s.Capped:
		return at.H2Cap
	case s.HTTP2:
		return at.H2
	case s.TLS:
		return at.TLS
	}
	return at.Plain
}

func (s requestSpec) url(at endpoint) string {
	scheme := "http://"
	if s.TLS {
		scheme = "https://"
	}
	return scheme + s.address(at) + s.Path
}

// newRequest returns a request with three fields, as clients of an API have.
func (s requestSpec) newRequest(at endpoint) (*http.Request, error) {
	var body io.Reader
	if s.Body > 0 {
		body = bytes.NewReader(make([]byte, s.Body))
	}
	req, err := http.NewRequest(s.Method, s.url(at), body)
	if err != nil {
		return nil, err
	}
	for _, field := range requestFields {
		req.Header.Set(field[0], field[1])
	}
	return req, nil
}

var requestFields = [][2]string{
	{"Accept", "*/*"}, {"Authorization", "Bearer 0123456789abcdef"}, {"X-Request-Id", "42"},
}

func newClient(who candidate, spec requestSpec, at endpoint) (client, error) {
	config, err := at.clientTLS()
	if err != nil {
		return nil, err
	}
	switch who {
	case fastHTTP:
		return &fastClient{spec: spec, at: at, client: newFastHTTP(config)}, nil
	case bare:
		return &bareClient{spec: spec, at: at, tls: config}, nil
	}
	rt, err := newTransport(who, transportOptions{tls: config, http2: spec.HTTP2})
	if err != nil {
		return nil, err
	}
	return newHTTPClient(rt, spec, at), nil
}

// unlimited is more connections than any comparison opens.
const unlimited = 1 << 20

// transportOptions are what a comparison may set on both transports.
type transportOptions struct {
	tls       *tls.Config
	http2     bool
	unpooled  bool // a new connection for every request
	idleTotal int  // MaxIdleConns
}

// newTransport returns peerpool's or net/http's transport. net/http is tuned: it keeps as many idle connections as
// there are callers, and neither of them asks for gzip.
func newTransport(who candidate, o transportOptions) (http.RoundTripper, error) {
	switch who {
	case netHTTP, again:
		return &http.Transport{
			TLSClientConfig: o.tls, ForceAttemptHTTP2: o.http2, DisableKeepAlives: o.unpooled, MaxIdleConns: o.idleTotal,
			MaxIdleConnsPerHost: unlimited, DisableCompression: true, IdleConnTimeout: 90 * time.Second,
		}, nil
	case ours:
		return &peerpool.Transport{
			TLSClientConfig: o.tls, ForceAttemptHTTP2: o.http2, DisableKeepAlives: o.unpooled, MaxIdleConns: o.idleTotal,
			MaxIdleConnsPerHost: unlimited, DisableCompression: true, IdleConnTimeout: 90 * time.Second,
		}, nil
	}
	return nil, fmt.Errorf("%s is no transport", who)
}

// httpClient is a candidate that speaks net/http's types.
type httpClient struct {
	spec    requestSpec
	at      endpoint
	do      func(*http.Request) (*http.Response, error)
	proto   string
	cancels []context.CancelFunc // of the calls' contexts, which live as long as the process
}

// clientTimeout is never reached: it is there to be watched.
const clientTimeout = 30 * time.Second

func newHTTPClient(rt http.RoundTripper, spec requestSpec, at endpoint) *httpClient {
	do := rt.RoundTrip
	if spec.Client {
		do = (&http.Client{Transport: rt, Timeout: clientTimeout}).Do
	}
	return &httpClient{spec: spec, at: at, do: do}
}

func (c *httpClient) protocol() string { return c.proto }

func (c *httpClient) newCall() (call, error) {
	req, err := c.spec.newRequest(c.at)
	if err != nil {
		return nil, err
	}
	if c.spec.Cancelable {
		ctx, cancel := context.WithCancel(context.Background())
		c.cancels = append(c.cancels, cancel)
		req = req.WithContext(ctx)
	}
	buf := make([]byte, 4<<10)
	// The first call of all notes the protocol, before there are two goroutines.
	if c.proto == "" {
		resp, err := c.exchange(req, buf)
		if err != nil {
			return nil, err
		}
		c.proto = resp.Proto
	}
	return func() error {
		_, err := c.exchange(req, buf)
		return err
	}, nil
}

// exchange sends a request once more and reads the response to its end.
func (c *httpClient) exchange(req *http.Request, buf []byte) (*http.Response, error) {
	if req.GetBody != nil { // a body is read once
		repeated := *req
		var err error
		if repeated.Body, err = req.GetBody(); err != nil {
			return nil, err
		}
		req = &repeated
	}
	resp, err := c.do(req)
	if err != nil {
		return nil, err
	}
	for err == nil {
		_, err = resp.Body.Read(buf)
	}
	resp.Body.Close()
	if err != io.EOF {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, errors.New(resp.Status)
	}
	return resp, nil
}

// fastClient is fasthttp, its requests and responses used again and again, as it is meant to be.
type fastClient struct {
	spec   requestSpec
	at     endpoint
	client *fasthttp.Client
}

func newFastHTTP(config *tls.Config) *fasthttp.Client {
	return &fasthttp.Client{TLSConfig: config, MaxConnsPerHost: unlimited, MaxIdleConnDuration: 90 * time.Second}
}

func (c *fastClient) protocol() string { return http1 }

const http1 = "HTTP/1.1"

func (c *fastClient) newCall() (call, error) {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	req.Header.SetMethod(c.spec.Method)
	req.SetRequestURI(c.spec.url(c.at))
	for _, field := range requestFields {
		req.Header.Set(field[0], field[1])
	}
	if c.spec.Body > 0 {
		req.SetBodyRaw(make([]byte, c.spec.Body))
	}
	return func() error {
		var err error
		if c.spec.Client {
			err = c.client.DoTimeout(req, resp, clientTimeout)
		} else {
			err = c.client.Do(req, resp)
		}
		if err == nil && resp.StatusCode() != http.StatusOK {
			err = fmt.Errorf("status %d", resp.StatusCode())
		}
		return err
	}, nil
}

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
