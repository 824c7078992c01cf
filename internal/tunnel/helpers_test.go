package tunnel

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"time"
)

// closeCounter is a connection that counts how often it was closed.
type closeCounter struct {
	net.Conn
	closes atomic.Int32
}

func (c *closeCounter) Close() error {
	c.closes.Add(1)
	return c.Conn.Close()
}

// dialProxy starts a proxy for one connection, which follows script, and connects to it. The proxy's
// end is closed when script returns; the test ends after that.
func dialProxy(t *testing.T, script func(conn *net.TCPConn)) *closeCounter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		script(conn.(*net.TCPConn))
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := &closeCounter{Conn: conn}
	t.Cleanup(func() {
		conn.Close()
		l.Close()
		<-ended
	})
	return c
}

// answering is a script that reads the head of a request, writes text, and waits for the client to
// close.
func answering(text string) func(*net.TCPConn) {
	return func(conn *net.TCPConn) {
		http.ReadRequest(bufio.NewReader(conn))
		io.WriteString(conn, text)
		io.Copy(io.Discard, conn)
	}
}

// hangingUp is a script that reads the head of a request, writes text, and closes.
func hangingUp(text string) func(*net.TCPConn) {
	return func(conn *net.TCPConn) {
		http.ReadRequest(bufio.NewReader(conn))
		io.WriteString(conn, text)
	}
}

// stalling is a script that says nothing and reports whether the client closed the connection.
func stalling(closed chan<- bool) func(*net.TCPConn) {
	return func(conn *net.TCPConn) {
		_, err := io.Copy(io.Discard, conn)
		closed <- !errors.Is(err, os.ErrDeadlineExceeded)
	}
}

func wantClosed(t *testing.T, closed <-chan bool) {
	t.Helper()
	if !<-closed {
		t.Error("the proxy saw no end of the connection")
	}
}

func wantClosedOnce(t *testing.T, conn *closeCounter) {
	t.Helper()
	if n := conn.closes.Load(); n != 1 {
		t.Errorf("the connection was closed %d times, want once", n)
	}
}

func wantOpen(t *testing.T, conn *closeCounter) {
	t.Helper()
	if n := conn.closes.Load(); n != 0 {
		t.Errorf("the connection was closed %d times, want never", n)
	}
}

var (
	target    = "origin.test:443"
	errEnough = errors.New("enough")
)
