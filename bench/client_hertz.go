package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"time"

	hertzclient "github.com/cloudwego/hertz/pkg/app/client"
	"github.com/cloudwego/hertz/pkg/network/standard"
	"github.com/cloudwego/hertz/pkg/protocol"
)

// hertzClient is hertz with its dialer over net, its requests and responses used again and again, as fasthttp's are. Its
// other dialer, netpoll, has no TLS.
type hertzClient struct {
	spec   requestSpec
	at     endpoint
	client *hertzclient.Client
}

func newHertz(config *tls.Config, spec requestSpec, at endpoint) (client, error) {
	c, err := hertzclient.NewClient(
		hertzclient.WithDialer(standard.NewDialer()), hertzclient.WithTLSConfig(config),
		hertzclient.WithMaxConnsPerHost(unlimited), hertzclient.WithMaxIdleConnDuration(90*time.Second),
	)
	return &hertzClient{spec: spec, at: at, client: c}, err
}

func (c *hertzClient) protocol() string { return http1 }

func (c *hertzClient) newCall() (call, error) {
	req, resp := protocol.AcquireRequest(), protocol.AcquireResponse()
	req.SetMethod(c.spec.Method)
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
			err = c.client.DoTimeout(context.Background(), req, resp, clientTimeout)
		} else {
			err = c.client.Do(context.Background(), req, resp)
		}
		if err == nil && resp.StatusCode() != http.StatusOK {
			err = fmt.Errorf("status %d", resp.StatusCode())
		}
		return err
	}, nil
}
