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

// ConnectionAttemptDelay is how long one attempt has before the next begins beside it, if a [Race] is not told otherwise:
// the value that RFC 8305 section 5 recommends.
const ConnectionAttemptDelay = 250 * time.Millisecond

// Connect opens a connection to one address. It must heed its ctx while it runs; what it returns must
// not depend on ctx, which ends with the race.
type Connect func(ctx context.Context, addr netip.AddrPort) (net.Conn, error)

// Race connects to one of addrs and returns the connection and its address (RFC 8305 section 5).
//
// It tries them in order, the next one as soon as the previous one failed or delay after that began, whichever is
// earlier. A delay of zero is [ConnectionAttemptDelay]; with a negative one, the next attempt waits until the previous
// one has failed. The first to succeed wins; the
// context of the others is canceled, and what they still open is closed. No goroutine is left but
// those whose connect has not returned yet. For one address connect is simply called.
//
// If ctx ends before, the cause of ctx is returned. If every attempt fails, the error of a single
// address is returned as it is, that of several as a [*RaceError].
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

// An attempt is how the one to addrs[i] ended: with a connection or with an error, never both.
type attempt struct {
	i    int
	conn net.Conn
	err  error
}

func race(ctx context.Context, delay time.Duration, addrs []netip.AddrPort, connect Connect) (net.Conn, netip.AddrPort, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Without a buffer, a connection is either taken by the loop below or stays with its attempt.
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

// attempt connects to addr and hands over the outcome, or closes it when the race is over. Its
// goroutine belongs to the race and ends with connect.
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

// try calls connect and makes sure that either a connection or an error comes of it.
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

// RaceError is what every address of a [Race] said. errors.Is and errors.As look through all of them,
// that of the first address first.
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

// Temporary reports the same as Timeout. It makes a [net.Error] of a RaceError.
func (e *RaceError) Temporary() bool { return e.Timeout() }
