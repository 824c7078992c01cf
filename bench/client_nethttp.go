package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/peerpool/peerpool"
)

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
		client := &http.Client{Transport: rt}
		if t, ok := rt.(*peerpool.Transport); ok && spec.NewClient {
			client = peerpool.NewClient(t)
		}
		client.Timeout = clientTimeout
		do = client.Do
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
