package tunnel

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A turn of a SOCKS proxy: it expects to read exactly take, then writes say.
type turn struct{ take, say string }

// taking is a script of turns, after which the connection stays open until the client closes it. The
// first turn whose bytes differ is reported to missed.
func taking(missed chan<- string, turns ...turn) func(*net.TCPConn) {
	return func(conn *net.TCPConn) {
		defer close(missed)
		for _, turn := range turns {
			got := make([]byte, len(turn.take))
			if n, err := io.ReadFull(conn, got); err != nil || string(got) != turn.take {
				missed <- string(got[:n])
				return
			}
			io.WriteString(conn, turn.say)
		}
		io.Copy(io.Discard, conn)
	}
}

const (
	noAuth     = "\x05\x01\x00"
	maybeAuth  = "\x05\x02\x00\x02"
	unneeded   = "\x05\x00"
	needed     = "\x05\x02"
	askName    = "\x05\x01\x00\x03\x0borigin.test\x01\xbb"
	granted    = "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"
	userPass   = "\x01\x05alice\x06s3cret"
	authOK     = "\x01\x00"
	authFailed = "\x01\x01"
)

var alice = url.UserPassword("alice", "s3cret")

func TestSocksOpensAConnection(t *testing.T) {
	for name, c := range map[string]struct {
		target string
		user   *url.Userinfo
		turns  []turn
	}{
		"to a name": {target, nil, []turn{{noAuth, unneeded}, {askName, granted}}},
		"to an IPv4 address": {"192.0.2.1:80", nil,
			[]turn{{noAuth, unneeded}, {"\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x50", granted}}},
		"to an IPv6 address": {"[2001:db8::1%eth0]:80", nil,
			[]turn{{noAuth, unneeded}, {"\x05\x01\x00\x04\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x01\x00\x50", granted}}},
		"with a user":                 {target, alice, []turn{{maybeAuth, needed}, {userPass, authOK}, {askName, granted}}},
		"with a user nobody asks":     {target, alice, []turn{{maybeAuth, unneeded}, {askName, granted}}},
		"with a user and no secret":   {target, url.User("alice"), []turn{{maybeAuth, needed}, {"\x01\x05alice\x00", authOK}, {askName, granted}}},
		"bound to an IPv6 address":    {target, nil, []turn{{noAuth, unneeded}, {askName, "\x05\x00\x00\x04" + strings.Repeat("\x00", 18)}}},
		"bound to a name":             {target, nil, []turn{{noAuth, unneeded}, {askName, "\x05\x00\x00\x03\x01x\x00\x50"}}},
		"that says something at once": {target, nil, []turn{{noAuth, unneeded}, {askName, granted + "hello"}}},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.HasSuffix(c.turns[len(c.turns)-1].say, "hello") {
				c.turns = append(c.turns, turn{"ping", "hello"})
			}
			missed := make(chan string, 1)
			conn := dialProxy(t, taking(missed, c.turns...))
			if err := Socks(t.Context(), conn, c.target, c.user); err != nil {
				t.Fatal(err)
			}
			wantOpen(t, conn)
			io.WriteString(conn, "ping")
			got := make([]byte, 5)
			if _, err := io.ReadFull(conn, got); err != nil || string(got) != "hello" {
				t.Errorf("%q, %v came through the connection", got, err)
			}
			conn.Conn.Close()
			if got, ok := <-missed; ok {
				t.Errorf("the proxy was told %q", got)
			}
		})
	}
}

func TestSocksNamesWhatTheProxyAnswered(t *testing.T) {
	for want, turns := range map[string][]turn{
		"no acceptable authentication methods":    {{maybeAuth, "\x05\xff"}},
		"username/password authentication failed": {{maybeAuth, needed}, {userPass, authFailed}},
		"invalid username/password version":       {{maybeAuth, needed}, {userPass, "\x05\x00"}},
		"unsupported authentication method 1":     {{maybeAuth, "\x05\x01"}},
		"general SOCKS server failure":            {{maybeAuth, unneeded}, {askName, "\x05\x01\x00\x01\x00\x00\x00\x00\x00\x00"}},
		"connection not allowed by ruleset":       {{maybeAuth, unneeded}, {askName, "\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00"}},
		"host unreachable":                        {{maybeAuth, unneeded}, {askName, "\x05\x04\x00\x01\x00\x00\x00\x00\x00\x00"}},
		"connection refused":                      {{maybeAuth, unneeded}, {askName, "\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00"}},
		"unknown code: 99":                        {{maybeAuth, unneeded}, {askName, "\x05\x63\x00\x01\x00\x00\x00\x00\x00\x00"}},
		"unexpected protocol version 72":          {{maybeAuth, "HTTP/1.1 400 Bad Request\r\n\r\n"}},
		"unexpected protocol version 4":           {{maybeAuth, unneeded}, {askName, "\x04\x00\x00\x01"}},
		"unknown address type 9":                  {{maybeAuth, unneeded}, {askName, "\x05\x00\x00\x09"}},
	} {
		missed := make(chan string, 1)
		conn := dialProxy(t, taking(missed, turns...))
		err := Socks(t.Context(), conn, target, alice)
		var op *net.OpError
		if !errors.As(err, &op) || op.Source.String() != conn.RemoteAddr().String() || op.Addr.String() != target {
			t.Errorf("got %#v, want an OpError from the proxy to the target", err)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
		wantNoSecret(t, err)
		wantClosedOnce(t, conn)
		if got, ok := <-missed; ok {
			t.Errorf("%s: the proxy was told %q", want, got)
		}
	}
}

func wantNoSecret(t *testing.T, err error) {
	t.Helper()
	if err != nil && (strings.Contains(err.Error(), "alice") || strings.Contains(err.Error(), "s3cret")) {
		t.Errorf("%q shows the user", err)
	}
}

func TestASocksProxyThatHangsUpIsAnEOF(t *testing.T) {
	for _, said := range []string{"", "\x05", unneeded, unneeded + "\x05\x00\x00\x01\x00"} {
		conn := dialProxy(t, func(conn *net.TCPConn) {
			io.ReadFull(conn, make([]byte, len(noAuth)))
			io.WriteString(conn, said)
			conn.CloseWrite()
			io.Copy(io.Discard, conn)
		})
		err := Socks(t.Context(), conn, target, nil)
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("after %q: got %v", said, err)
		}
		wantClosedOnce(t, conn)
	}
}

func TestSocksSendsNothingThatIsInvalid(t *testing.T) {
	for _, target := range []string{"origin.test", "origin.test:0", "origin test:80", "[::g]:80", "\x00:80"} {
		conn := dialProxy(t, func(conn *net.TCPConn) {
			if got, _ := io.ReadAll(conn); len(got) > 0 {
				t.Errorf("%q: %q was sent", target, got)
			}
		})
		if err := Socks(t.Context(), conn, target, nil); err == nil {
			t.Errorf("%q was accepted", target)
		}
		wantClosedOnce(t, conn)
	}
}

func TestSocksRefusesWhatTheProtocolCannotSay(t *testing.T) {
	long, tooLong := strings.Repeat("x", 256), strings.Repeat("s3cret", 43)
	for name, c := range map[string]struct {
		target string
		user   *url.Userinfo
	}{
		"a long host":     {long + ":80", nil},
		"a long user":     {target, url.UserPassword(tooLong, "x")},
		"a long password": {target, url.UserPassword("x", tooLong)},
		"an empty user":   {target, url.UserPassword("", "x")},
	} {
		conn := dialProxy(t, func(conn *net.TCPConn) {
			greeting := make([]byte, 2)
			io.ReadFull(conn, greeting)
			io.ReadFull(conn, make([]byte, greeting[1]))
			io.WriteString(conn, "\x05"+string([]byte{2 * (greeting[1] - 1)}))
			if got, _ := io.ReadAll(conn); len(got) > 0 {
				t.Errorf("%s: %q was sent", name, got)
			}
		})
		err := Socks(t.Context(), conn, c.target, c.user)
		if err == nil {
			t.Errorf("%s was accepted", name)
		}
		wantNoSecret(t, err)
		wantClosedOnce(t, conn)
	}
}

func TestAnEndedContextInterruptsASocksProxyThatStalls(t *testing.T) {
	for _, turns := range [][]turn{nil, {{noAuth, unneeded}}, {{noAuth, unneeded}, {askName, "\x05"}}} {
		ctx, cancel := context.WithCancelCause(t.Context())
		closed := make(chan bool, 1)
		conn := dialProxy(t, func(conn *net.TCPConn) {
			for _, turn := range turns {
				io.ReadFull(conn, make([]byte, len(turn.take)))
				io.WriteString(conn, turn.say)
			}
			cancel(errEnough)
			stalling(closed)(conn)
		})
		if err := Socks(ctx, conn, target, nil); err != errEnough {
			t.Errorf("after %d turns: got %v, want the cause", len(turns), err)
		}
		wantClosedOnce(t, conn)
		wantClosed(t, closed)
	}
}

func TestADeadlineInterruptsASocksProxyThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		conn := &closeCounter{Conn: ours}
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errEnough)
		defer cancel()
		if err := Socks(ctx, conn, target, nil); err != errEnough {
			t.Errorf("got %v, want the cause", err)
		}
		wantClosedOnce(t, conn)
	})
}

// nowhere is a connection that does not know its other end.
type nowhere struct{ net.Conn }

func (nowhere) RemoteAddr() net.Addr { return nil }

func TestSocksWorksOverAConnectionWithoutAnAddress(t *testing.T) {
	missed := make(chan string, 1)
	conn := dialProxy(t, taking(missed, turn{noAuth, "\x05\xff"}))
	if err := Socks(t.Context(), nowhere{conn}, target, nil); err == nil || !strings.Contains(err.Error(), "no acceptable") {
		t.Errorf("got %v", err)
	}
	wantClosedOnce(t, conn)
}
