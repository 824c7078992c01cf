package main

import (
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
	NewClient  bool // the Client is that of peerpool.NewClient, for peerpool
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
	case hertz:
		return newHertz(config, spec, at)
	case bare:
		return &bareClient{spec: spec, at: at, tls: config}, nil
	}
	rt, err := newTransport(who, transportOptions{tls: config, http2: spec.HTTP2})
	if err != nil {
		return nil, err
	}
	return newHTTPClient(rt, spec, at), nil
}

const http1 = "HTTP/1.1" // as responses name it

// unlimited is more connections than any comparison opens.
const unlimited = 1 << 20

// transportOptions are what a comparison may set on both transports.
type transportOptions struct {
	tls       *tls.Config
	http2     bool
	unpooled  bool // a new connection for every request
	idleTotal int  // MaxIdleConns
	dial      func(ctx context.Context, network, addr string) (net.Conn, error)
}

// newTransport returns peerpool's or net/http's transport. net/http is tuned: it keeps as many idle connections as
// there are callers, and neither of them asks for gzip.
func newTransport(who candidate, o transportOptions) (http.RoundTripper, error) {
	switch who {
	case netHTTP, again:
		return &http.Transport{
			TLSClientConfig: o.tls, ForceAttemptHTTP2: o.http2, DisableKeepAlives: o.unpooled, MaxIdleConns: o.idleTotal,
			MaxIdleConnsPerHost: unlimited, DisableCompression: true, IdleConnTimeout: 90 * time.Second, DialContext: o.dial,
		}, nil
	case ours:
		return &peerpool.Transport{
			TLSClientConfig: o.tls, ForceAttemptHTTP2: o.http2, DisableKeepAlives: o.unpooled, MaxIdleConns: o.idleTotal,
			MaxIdleConnsPerHost: unlimited, DisableCompression: true, IdleConnTimeout: 90 * time.Second, DialContext: o.dial,
		}, nil
	}
	return nil, fmt.Errorf("%s is not a transport", who)
}

// roundTrip sends a request and reads the response to its end. Any status but 200 is an error.
func roundTrip(rt http.RoundTripper, req *http.Request) (*http.Response, error) {
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return resp, err
}
