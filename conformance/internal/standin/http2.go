package standin

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"slices"
	"time"
)

// ExportHttp2ConfigureTransport turns HTTP/2 on as a program would. The tests take TLSClientConfig for their own dials,
// so it must offer HTTP/2 too. It returns no error.
func ExportHttp2ConfigureTransport(t *Transport) error {
	t.ForceAttemptHTTP2 = true
	if t.TLSClientConfig == nil {
		t.TLSClientConfig = new(tls.Config)
	}
	for _, proto := range []string{"h2", "http/1.1"} {
		if !slices.Contains(t.TLSClientConfig.NextProtos, proto) {
			t.TLSClientConfig.NextProtos = append(t.TLSClientConfig.NextProtos, proto)
		}
	}
	return nil
}

// NextProtos stands in for the field TLSNextProto after the first request, by when net/http has entered HTTP/2
// there if it is on. Here a Transport shows that by what it offers to a TLS server.
func NextProtos(t *Transport) map[string]func(string, *tls.Conn) http.RoundTripper {
	if t.DialTLS != nil || t.DialTLSContext != nil || !slices.Contains(offered(t), "h2") {
		return t.TLSNextProto
	}
	return map[string]func(string, *tls.Conn) http.RoundTripper{
		"h2": func(string, *tls.Conn) http.RoundTripper { return t },
	}
}

// offered returns the protocols that t offers to a TLS server, which hangs up then.
func offered(t *Transport) []string {
	seen := make(chan []string, 1)
	c := t.Clone()
	defer c.CloseIdleConnections()
	c.DialContext = func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			tls.Server(far, &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
				seen <- hello.SupportedProtos
				return nil, errors.New("that was all")
			}}).Handshake()
		}()
		return near, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://fake.example/", nil)
	if err != nil {
		panic(err)
	}
	if resp, err := c.RoundTrip(req); err == nil {
		resp.Body.Close()
	}
	select {
	case protos := <-seen:
		return protos
	default:
		return nil
	}
}
