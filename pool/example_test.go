package pool_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/peerpool/peerpool/pool"
)

// lineConn is a connection of a protocol of lines: one is asked, one is answered.
type lineConn struct {
	net.Conn
	replies *bufio.Reader
}

// Probe reads with a deadline in the past, so it never waits: between two uses a live peer says nothing.
func (c *lineConn) Probe() pool.Reason {
	if c.replies.Buffered() > 0 {
		return pool.ReasonUnexpectedData
	}
	if err := c.SetReadDeadline(time.Unix(1, 0)); err != nil {
		return pool.ReasonPeerClosed
	}
	defer c.SetReadDeadline(time.Time{})
	switch n, err := c.Read(make([]byte, 1)); {
	case n > 0:
		return pool.ReasonUnexpectedData
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ""
	default:
		return pool.ReasonPeerClosed
	}
}

func (c *lineConn) ask(question string) (string, error) {
	if _, err := fmt.Fprintln(c, question); err != nil {
		return "", err
	}
	return c.replies.ReadString('\n')
}

// lineDialer dials one address.
type lineDialer string

func (address lineDialer) Dial(ctx context.Context) (*lineConn, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", string(address))
	if err != nil {
		return nil, err
	}
	return &lineConn{conn, bufio.NewReader(conn)}, nil
}

// echo serves every connection by saying what it is told.
func echo(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			io.Copy(conn, conn)
		}()
	}
}

func Example() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer listener.Close()
	go echo(listener)

	ctx := context.Background()
	address := listener.Addr().String()
	p := pool.New(pool.Config[string, *lineConn]{MaxIdle: 100, MaxIdlePerKey: 10})
	terms := pool.Terms{IdleTimeout: 90 * time.Second, MaxLifetime: time.Hour}

	for _, question := range []string{"hello", "hello again"} {
		lease, err := p.Acquire(ctx, address, lineDialer(address), terms)
		if err != nil {
			fmt.Println(err)
			return
		}
		reply, err := lease.Conn().ask(question)
		if err != nil {
			lease.Discard("ask_failed")
			fmt.Println(err)
			return
		}
		fmt.Printf("%q, reused: %v\n", reply, lease.Reused())
		lease.Release()
	}

	if err := p.Shutdown(ctx); err != nil {
		fmt.Println(err)
	}
	fmt.Println("closed:", p.Stats().Closes)
	// Output:
	// "hello\n", reused: false
	// "hello again\n", reused: true
	// closed: map[shutdown:1]
}
