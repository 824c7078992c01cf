package resolve

import (
	"cmp"
	"context"
	"errors"
	"math"
	"net"
	"net/netip"
	"strings"
	"time"
)

// ConnectionAttemptDelay is the default delay of a [Race]: how long it waits after the start of one attempt before it
// begins the next one beside it. RFC 8305 section 5 recommends this value.
const ConnectionAttemptDelay = 250 * time.Millisecond

// Connect opens a connection to one address. It must obey its ctx while it runs. The connection must not depend on ctx,
// because ctx ends with the race.
type Connect func(ctx context.Context, addr netip.AddrPort) (net.Conn, error)

// Race connects to one of addrs and returns the connection and its address (RFC 8305 section 5).
//
// It tries the addresses in order. The next attempt begins as soon as the previous one has failed, or delay after the
// previous one began, whichever is earlier. A delay of zero means [ConnectionAttemptDelay]. With a negative delay, the
// next attempt begins only when the previous one has failed. The first attempt to succeed wins. Race then cancels the
// context of the others, and closes the connections that they still open. No goroutine stays, except those whose
// connect has not returned yet. If there is only one address, Race simply calls connect.
//
// If ctx ends first, Race returns the cause of ctx. If every attempt fails, Race returns the error of a single address
// as it is, and those of several addresses as a [*RaceError].
func Race(ctx context.Context, delay time.Duration, addrs []netip.AddrPort, connect Connect) (net.Conn, netip.AddrPort, error) {
	if ctx.Err() != nil {
		return nil, netip.AddrPort{}, context.Cause(ctx)
	}
	switch len(addrs) {
	case 0:
		return nil, netip.AddrPort{}, errNoAddress
	case 1:
		conn, err := connect.try(ctx, addrs[0])
		if err == nil {
			return conn, addrs[0], nil
		}
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, netip.AddrPort{}, err
	}
	return race(ctx, delay, addrs, connect)
}

// An attempt is the result of the attempt for addrs[i]: either a connection or an error.
type attempt struct {
	i    int
	conn net.Conn
	err  error
}

func race(ctx context.Context, delay time.Duration, addrs []netip.AddrPort, connect Connect) (net.Conn, netip.AddrPort, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// The channel has no buffer, so a connection is either taken by the loop below or stays with its attempt.
	ended := make(chan attempt)
	pause := cmp.Or(delay, ConnectionAttemptDelay)
	if pause < 0 {
		pause = math.MaxInt64
	}
	next := time.NewTimer(pause)
	defer next.Stop()

	begun, failed := 0, 0
	begin := func() {
		if begun < len(addrs) {
			go connect.attempt(ctx, begun, addrs[begun], ended)
			begun++
			next.Reset(pause)
		}
	}
	errs := make([]error, len(addrs))
	for begin(); failed < len(addrs); {
		select {
		case <-ctx.Done():
			return nil, netip.AddrPort{}, context.Cause(ctx)
		case <-next.C:
			begin()
		case a := <-ended:
			if a.err == nil {
				return a.conn, addrs[a.i], nil
			}
			errs[a.i] = a.err
			failed++
			if a.i == begun-1 {
				begin()
			}
		}
	}
	if ctx.Err() != nil {
		return nil, netip.AddrPort{}, context.Cause(ctx)
	}
	return nil, netip.AddrPort{}, &RaceError{Errs: errs}
}

// attempt connects to addr and hands over the result. If the race is over, it closes the connection. Its goroutine
// belongs to the race and ends with connect.
func (connect Connect) attempt(ctx context.Context, i int, addr netip.AddrPort, ended chan<- attempt) {
	conn, err := connect.try(ctx, addr)
	select {
	case ended <- attempt{i, conn, err}:
	case <-ctx.Done():
		if conn != nil {
			conn.Close()
		}
	}
}

// try calls connect and makes sure that it returns either a connection or an error.
func (connect Connect) try(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	conn, err := connect(ctx, addr)
	switch {
	case err != nil:
		return nil, err
	case conn == nil:
		return nil, errNoConn
	}
	return conn, nil
}

var (
	errNoAddress = errors.New("no address to connect to")
	errNoConn    = errors.New("dial returned neither a connection nor an error")
)

// RaceError holds the errors of all addresses of a [Race]. errors.Is and errors.As look through all of them, beginning
// with that of the first address.
type RaceError struct {
	Errs []error // in the order of the addresses
}

// Error joins the texts of all attempts.
func (e *RaceError) Error() string {
	var text strings.Builder
	for i, err := range e.Errs {
		if i > 0 {
			text.WriteString("; ")
		}
		text.WriteString(err.Error())
	}
	return text.String()
}

// Unwrap returns the errors of all attempts.
func (e *RaceError) Unwrap() []error { return e.Errs }

// Timeout reports whether an attempt ended because it took too long.
func (e *RaceError) Timeout() bool {
	for _, err := range e.Errs {
		var timeout interface{ Timeout() bool }
		if errors.As(err, &timeout) && timeout.Timeout() {
			return true
		}
	}
	return false
}

// Temporary reports the same as Timeout. It makes a RaceError a [net.Error].
func (e *RaceError) Temporary() bool { return e.Timeout() }
