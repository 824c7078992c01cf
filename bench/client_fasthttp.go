package main

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"time"

	"github.com/valyala/fasthttp"
)

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
