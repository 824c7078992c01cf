package http1

import (
	"fmt"
	"io"
	"net/http"

	"github.com/peerpool/peerpool/internal/exchange"
)

// upgrade passes the connection to the caller: the response's body reads and writes it. It does so even if the request did not
// ask for an upgrade, which RFC 9110 section 7.8 forbids: what follows is no HTTP response.
func (e *Exchange) upgrade() (*http.Response, error) {
	e.notice()
	e.conclude()
	if e.canceled {
		return nil, e.fail(e.Conn.aborted())
	}
	c := e.Conn
	up := &upgraded{e: e, c: c, early: append([]byte(nil), c.in.buf[c.in.r:c.in.w]...)}
	c.giveInput()
	e.resp.Body = up
	e.done(exchange.EndHijacked)
	return &e.resp, nil
}

// upgraded is the body of a 101 response: an io.ReadWriteCloser over the connection.
type upgraded struct {
	e     *Exchange
	c     *Conn
	early []byte // bytes of the new protocol that came together with the head
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

// Close closes the connection, and stops sending the request's body.
func (u *upgraded) Close() error {
	if u.e.sending != nil {
		u.e.sending.Stop()
	}
	err := u.c.Close()
	u.e.finishUpload()
	return err
}

// CloseWrite shuts down the writing side, if the connection can do that.
func (u *upgraded) CloseWrite() error {
	if w, ok := u.c.nc.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return fmt.Errorf("CloseWrite: %w", http.ErrNotSupported)
}

var _ io.ReadWriteCloser = (*upgraded)(nil)
