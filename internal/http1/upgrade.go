package http1

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// switches says whether a 101 answers what the request asked for (RFC 9110 section 7.8): one of the
// protocols in its Upgrade field, with the same option in Connection.
func switches(asked, answered http.Header) bool {
	if !httpguts.HeaderValuesContainsToken(asked["Connection"], "Upgrade") || len(answered["Upgrade"]) == 0 {
		return false
	}
	for _, line := range answered["Upgrade"] {
		for protocol := range strings.SplitSeq(line, ",") {
			if !offered(asked["Upgrade"], strings.TrimSpace(protocol)) {
				return false
			}
		}
	}
	return true
}

func offered(lines []string, protocol string) bool {
	for _, line := range lines {
		for p := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(p), protocol) {
				return true
			}
		}
	}
	return false
}

// upgrade hands the connection over to the caller: the response's body reads and writes it.
func (e *Exchange) upgrade() (*http.Response, error) {
	if e.stop != nil && !e.stop() {
		return nil, e.fail(context.Cause(e.Ctx))
	}
	e.stop = nil
	c := e.Conn
	up := &upgraded{c: c, early: append([]byte(nil), c.in.buf[c.in.r:c.in.w]...)}
	c.in.give()
	e.resp.Body = up
	e.end(EndUpgrade)
	return &e.resp, nil
}

// upgraded is the body of a 101 response: an io.ReadWriteCloser over the connection.
type upgraded struct {
	c     *Conn
	early []byte // of the new protocol, read together with the head
}

func (u *upgraded) Read(p []byte) (int, error) {
	if len(u.early) > 0 {
		n := copy(p, u.early)
		u.early = u.early[n:]
		return n, nil
	}
	return u.c.Read(p)
}

func (u *upgraded) Write(p []byte) (int, error) { return u.c.nc.Write(p) }

func (u *upgraded) Close() error { return u.c.Close() }

// CloseWrite shuts down the writing side, where the connection can.
func (u *upgraded) CloseWrite() error {
	if w, ok := u.c.nc.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return fmt.Errorf("CloseWrite: %w", http.ErrNotSupported)
}

var _ io.ReadWriteCloser = (*upgraded)(nil)
