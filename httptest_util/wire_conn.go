package httptestutil

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// WireConn is one connection of a [Wire], as the script sees it. Only the
// script's goroutine may use it.
type WireConn struct {
	wire   *Wire
	raw    *trackedConn
	cork   *corked
	nc     net.Conn // *tls.Conn, or cork
	br     *bufio.Reader
	number int
}

func newWireConn(w *Wire, raw *trackedConn) *WireConn {
	// An error means that the connection is closed. The script's first read
	// reports that too.
	_ = raw.SetDeadline(time.Now().Add(w.opts.Bound))
	cork := &corked{Conn: raw}
	c := &WireConn{wire: w, raw: raw, cork: cork, nc: cork, number: raw.number}
	if w.tls != nil {
		c.nc = tls.Server(cork, w.tls)
	}
	c.br = bufio.NewReader(c.nc)
	return c
}

// Number returns the number of the connection in the order of acceptance,
// from 1.
func (c *WireConn) Number() int { return c.number }

// Conn returns the connection itself, for uses that the other methods do not
// offer. It is a *tls.Conn if the server speaks TLS. It does not return bytes
// that the other methods have already read ahead.
func (c *WireConn) Conn() net.Conn { return c.nc }

// ReadRequest reads a request and holds its body in memory. It returns nil if
// the client has closed the connection, if the time is up, or if the bytes
// that arrived are not a request. It does not write the "100 Continue" that
// some clients expect before they send a body. A script that writes it uses
// ReadHead.
func (c *WireConn) ReadRequest() *http.Request {
	req := c.ReadHead()
	if req == nil {
		return nil
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		c.noteRead(err)
		return nil
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	return req
}

// ReadHead reads the head of a request and leaves its body on the connection.
// The script may read it from the result's Body, or not at all. ReadHead
// returns nil in the same cases as ReadRequest.
func (c *WireConn) ReadHead() *http.Request {
	req, err := http.ReadRequest(c.br)
	if err != nil {
		c.noteRead(err)
		return nil
	}
	c.wire.tr.update(func() { c.wire.requests++ })
	return req
}

// Read reads bytes from the connection, for scripts that speak another protocol
// than HTTP/1.1. It returns bytes first that the other methods have read ahead.
func (c *WireConn) Read(p []byte) (int, error) {
	n, err := c.br.Read(p)
	if err != nil {
		_ = c.noteRead(err) // which returns it, or nil for an orderly end
	}
	return n, err
}

// Write writes the parts in one piece, which is one TCP segment unless it is
// large. It reports whether the write succeeded.
func (c *WireConn) Write(parts ...string) bool {
	_, err := io.WriteString(c.nc, strings.Join(parts, ""))
	return err == nil
}

// WriteRecords writes each part as a TLS record of its own, and all of them
// in one piece. A part must not be larger than a kilobyte. Without TLS,
// WriteRecords does what Write does.
func (c *WireConn) WriteRecords(parts ...string) bool {
	if tc, ok := c.nc.(*tls.Conn); ok && tc.Handshake() != nil {
		return false
	}
	c.cork.hold = true
	for _, part := range parts {
		if _, err := io.WriteString(c.nc, part); err != nil {
			return false
		}
	}
	return c.cork.release() == nil
}

// Drip writes s byte by byte, each byte in a piece of its own. It writes a
// byte each time a value arrives from tick. If tick is nil, it does not wait.
// Drip reports whether it wrote all of s.
func (c *WireConn) Drip(s string, tick <-chan struct{}) bool {
	for i := range len(s) {
		if tick != nil && !c.Await(tick) {
			return false
		}
		if !c.Write(s[i : i+1]) {
			return false
		}
	}
	return true
}

// Await waits until a value arrives from signal, or until signal is closed.
// It returns false if the test ends first, or if the server's bound passes
// first.
func (c *WireConn) Await(signal <-chan struct{}) bool {
	giveUp := time.NewTimer(c.wire.opts.Bound)
	defer giveUp.Stop()
	select {
	case <-signal:
		return true
	case <-c.wire.ended:
	case <-giveUp.C:
	}
	return false
}

// CloseWrite closes the direction to the client and leaves the other
// direction open. If the server speaks TLS, it sends a close_notify first.
func (c *WireConn) CloseWrite() {
	if tc, ok := c.nc.(*tls.Conn); ok {
		_ = tc.CloseWrite() // fails only if the client is gone already
	}
	_ = closeWrite(c.raw)
}

// Close closes the connection. If the server speaks TLS, it sends a
// close_notify first. If there are unread bytes from the client, TCP sends a
// reset.
func (c *WireConn) Close() { c.nc.Close() }

// Cut closes the connection without a close_notify. Without TLS, Cut does
// what Close does.
func (c *WireConn) Cut() { c.raw.Close() }

// Reset closes the connection with an RST.
func (c *WireConn) Reset() { c.raw.reset() }

// WaitClosed reads and discards bytes until the client closes its side. It
// returns nil if the client closed the connection in order. Otherwise it
// returns how the connection ended: [io.ErrUnexpectedEOF] if there was no
// close_notify, a [*net.OpError] after a reset, or [os.ErrDeadlineExceeded]
// if the client kept the connection open for as long as the server allows.
func (c *WireConn) WaitClosed() error {
	_, err := io.Copy(io.Discard, c.br)
	if err == nil {
		err = io.EOF
	}
	return c.noteRead(err)
}

// Stall leaves the connection open, without reading, until the test ends or
// the server's bound has passed. Unlike WaitClosed, it does not notice when
// the client closes the connection.
func (c *WireConn) Stall() { c.Await(nil) }

// noteRead records how the client ended the connection, given the error of a
// read. It records nothing if this side gave up or closed the connection, or
// if the bytes that arrived were not a request. It returns nil if the client
// closed the connection in order.
func (c *WireConn) noteRead(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) {
		return err
	}
	var op *net.OpError
	if err != io.EOF && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.As(err, &op) {
		return err
	}
	_, overTLS := c.nc.(*tls.Conn)
	switch {
	case err == io.EOF && overTLS && c.cork.ended:
		// crypto/tls treats the end of the connection as a close_notify.
		err = io.ErrUnexpectedEOF
	case err == io.EOF:
		err = nil
	}
	c.wire.tr.update(func() {
		if _, known := c.wire.closings[c.number]; !known {
			c.wire.closings[c.number] = err
		}
	})
	return err
}

// corked is a connection that can hold back written bytes, so that it sends
// several TLS records in one piece. It also knows whether a read has met its
// end. Only a script's goroutine uses it.
type corked struct {
	net.Conn
	hold  bool
	held  []byte
	ended bool
}

func (c *corked) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.ended = c.ended || err == io.EOF
	return n, err
}

func (c *corked) Write(p []byte) (int, error) {
	if c.hold {
		c.held = append(c.held, p...)
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// CloseWrite sends a FIN, and leaves the other direction open.
func (c *corked) CloseWrite() error { return closeWrite(c.Conn) }

// release writes the bytes that were held back.
func (c *corked) release() error {
	held := c.held
	c.hold, c.held = false, nil
	_, err := c.Conn.Write(held)
	return err
}
