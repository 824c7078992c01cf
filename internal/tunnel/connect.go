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

// Request is a request to an HTTP proxy for a tunnel.
type Request struct {
	// Target is the "host:port" to connect to, with an IPv6 address in brackets.
	Target string

	// Header is sent with the request, including credentials (Proxy-Authorization). If it has no User-Agent, Connect
	// sends that of net/http. Connect ignores Content-Length, Transfer-Encoding, Trailer and Host in it.
	Header http.Header

	// MaxHeadBytes limits the heads of the answer, including interim ones. Zero or less means [DefaultMaxHeadBytes].
	MaxHeadBytes int64

	// OnResponse, if not nil, sees the answer before Connect judges it, whatever its status. The Request of the answer
	// is the one that was sent. If OnResponse returns an error, [Connect] fails with that error. OnResponse can read
	// the body of a refusal, up to [MaxRefusalBody]. The body cannot be read after OnResponse has returned.
	OnResponse func(*http.Response) error
}

// Connect asks the HTTP proxy at the other end of conn for a tunnel (RFC 9110 section 9.3.6). When Connect has returned
// nil, conn is the tunnel. Any 2xx answer opens it; Connect ignores Content-Length and Transfer-Encoding in that
// answer. Bytes that come with the answer are an error, because an HTTP or TLS server does not speak first.
//
// If Connect fails, it closes conn. The error is the one that net/http's Transport would return: what conn returned,
// what OnResponse returned, or net/http's words for a malformed answer or for a status other than 2xx. If ctx ended, it
// is the cause of ctx. No error holds a header.
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
