package tunnel

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"golang.org/x/net/http/httpguts"
)

// Request is what is asked of an HTTP proxy.
type Request struct {
	// Target is the "host:port" to connect to, an IPv6 address in brackets.
	Target string

	// Header is sent along, credentials (Proxy-Authorization) included. Without a User-Agent, that of
	// net/http is sent. Content-Length, Transfer-Encoding, Trailer and Host in it are ignored.
	Header http.Header

	// MaxHeadBytes bounds the heads of the answer, interim ones included; zero or less means
	// [DefaultMaxHeadBytes].
	MaxHeadBytes int64

	// OnResponse, if not nil, sees the answer, whatever its status, before it is judged; its Request
	// is the one sent. If it returns an error, [Connect] fails with that. The body of a refusal can
	// be read in it, up to [MaxRefusalBody], and not after it.
	OnResponse func(*http.Response) error
}

// Connect asks the HTTP proxy at the other end of conn for a tunnel (RFC 9110 section 9.3.6). Once it
// returns nil, conn is the tunnel. Any 2xx answer opens it, Content-Length and Transfer-Encoding in
// that being ignored. Bytes that come with the answer are an error: an HTTP or TLS server does not
// speak first.
//
// If it fails, conn is closed. The error is that of net/http's Transport: what conn returned, what OnResponse
// returned, net/http's words for a malformed answer or for a status other than 2xx. It is the cause of ctx if ctx
// ended. No error holds a header.
func Connect(ctx context.Context, conn net.Conn, r Request) error {
	return hop(ctx, conn, func() error { return r.ask(conn) })
}

func (r Request) ask(conn net.Conn) error {
	req, err := r.connectRequest()
	if err != nil {
		return err
	}
	var head bytes.Buffer
	if err := req.Write(&head); err != nil {
		return err
	}
	if _, err := conn.Write(head.Bytes()); err != nil {
		return err
	}
	resp, err := readAnswer(conn, req, r.MaxHeadBytes)
	if err != nil {
		return err
	}
	if r.OnResponse != nil {
		if err := r.OnResponse(resp); err != nil {
			return err
		}
	}
	if !success(resp.StatusCode) {
		return refused(resp)
	}
	return nil
}

// connectRequest returns the request in authority form (RFC 9112 section 3.2.3).
func (r Request) connectRequest() (*http.Request, error) {
	target, err := authority(r.Target)
	if err != nil {
		return nil, err
	}
	header := make(http.Header, len(r.Header))
	for name, values := range r.Header {
		if !httpguts.ValidHeaderFieldName(name) {
			return nil, fmt.Errorf("proxy CONNECT: invalid header field name %q", name)
		}
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) {
				return nil, fmt.Errorf("proxy CONNECT: invalid value of header field %q", name)
			}
		}
		header[name] = values
	}
	return &http.Request{
		Method: http.MethodConnect,
		URL:    &url.URL{Opaque: target},
		Host:   target,
		Header: header,
	}, nil
}

func success(status int) bool { return status/100 == 2 }
