package standin

//lint:file-ignore SA1019 net/http's tests set DialTLS, deprecated or not

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

// offered returns the protocols that t offers to a TLS server, which hangs up then. It asks t itself: a copy with a
// dialer would be another case.
func offered(t *Transport) []string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer listener.Close()
	seen := make(chan []string, 1)
	go hangUp(listener, seen)

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+listener.Addr().String(), nil)
	if err != nil {
		panic(err)
	}
	if resp, err := t.RoundTrip(req); err == nil {
		resp.Body.Close()
	}
	select {
	case protos := <-seen:
		return protos
	default:
		return nil
	}
}

// hangUp closes every connection after the first message of its TLS handshake, until the listener is closed. It sends
// the protocols that the first one offers.
func hangUp(listener net.Listener, seen chan<- []string) {
	enough := errors.New("that was all")
	config := &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		select {
		case seen <- hello.SupportedProtos:
		default:
		}
		return nil, enough
	}}
	for {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		tls.Server(c, config).Handshake()
		c.Close()
	}
}
