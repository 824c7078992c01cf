package http1

import (
	"fmt"
	"io"
	"net/http"

	"github.com/peerpool/peerpool/internal/exchange"
)

// upgrade hands the connection over to the caller: the response's body reads and writes it. So it does with a switch
// that nobody asked for (RFC 9110 section 7.8 forbids it): what follows is no answer to anything of ours.
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

// Close closes the connection, and ends the sending of a request's body that is still under way.
func (u *upgraded) Close() error {
	if u.e.body != nil {
		u.e.body.Stop()
	}
	err := u.c.Close()
	u.e.finishUpload()
	return err
}

// CloseWrite shuts down the writing side, where the connection can.
func (u *upgraded) CloseWrite() error {
	if w, ok := u.c.nc.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return fmt.Errorf("CloseWrite: %w", http.ErrNotSupported)
}

var _ io.ReadWriteCloser = (*upgraded)(nil)
