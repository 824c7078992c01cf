package http1

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/exchange"
)

const switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

// upgradeRequest asks for a protocol.
func upgradeRequest(t testing.TB) *http.Request {
	req := get(t)
	asksToSwitch(req)
	return req
}

// tunnel returns the body of a 101, which is the connection.
func tunnel(t *testing.T, e *Exchange) io.ReadWriteCloser {
	t.Helper()
	resp := run(t, e)
	conn, isConn := resp.Body.(io.ReadWriteCloser)
	if resp.StatusCode != http.StatusSwitchingProtocols || !isConn {
		t.Fatalf("the response is %s with a %T", resp.Status, resp.Body)
	}
	wantEnd(t, e, exchange.EndHijacked)
	return conn
}

func TestAnUpgradeHandsTheConnectionOver(t *testing.T) {
	with(t, 0, func(p *peer) {
		p.request()
		p.say(switching + "early ")
		line, _ := p.br.ReadString('\n')
		p.say("you said " + line)
		p.untilClosed()
	}, func(t *testing.T, c *Conn) {
		conn := tunnel(t, exchangeOn(c, upgradeRequest(t)))
		if b := make([]byte, 3); readFull(t, conn, b) != "ear" {
			t.Errorf("at first it reads %q", b)
		}
		io.WriteString(conn, "hi\n")
		if b := make([]byte, len("ly you said hi\n")); readFull(t, conn, b) != "ly you said hi\n" {
			t.Errorf("then it reads %q", b)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err == nil || err == io.EOF {
			t.Errorf("reading a closed connection returns %v", err)
		}
		if _, err := conn.Write([]byte("x")); err == nil {
			t.Error("a closed connection can be written to")
		}
	})
}

func readFull(t *testing.T, r io.Reader, b []byte) string {
	t.Helper()
	if _, err := io.ReadFull(r, b); err != nil {
		t.Errorf("reading: %v", err)
	}
	return string(b)
}

func TestTheServersEndOfAnUpgradedConnectionIsTheEnd(t *testing.T) {
	with(t, 0, func(p *peer) {
		p.request()
		p.say(switching + "bye")
	}, func(t *testing.T, c *Conn) {
		if got := readAll(t, tunnel(t, exchangeOn(c, upgradeRequest(t)))); got != "bye" {
			t.Errorf("it reads %q", got)
		}
	})
}

func TestACloseInterruptsAReadOfAnUpgradedConnection(t *testing.T) {
	with(t, 0, answers(switching), func(t *testing.T, c *Conn) {
		conn := tunnel(t, exchangeOn(c, upgradeRequest(t)))
		read := make(chan error)
		go func() {
			_, err := conn.Read(make([]byte, 1))
			read <- err
		}()
		synctest.Wait()
		conn.Close()
		if err := <-read; !errors.Is(err, net.ErrClosed) {
			t.Errorf("the read returns %v", err)
		}
	})
}

// The request's context bounds only the exchange.
func TestAnUpgradedConnectionOutlivesItsRequest(t *testing.T) {
	with(t, 0, func(p *peer) {
		p.request()
		p.say(switching)
		line, _ := p.br.ReadString('\n')
		p.say(line)
		p.untilClosed()
	}, func(t *testing.T, c *Conn) {
		req, cancel := cancelable(upgradeRequest(t))
		conn := tunnel(t, exchangeOn(c, req))
		cancel(errReason)
		synctest.Wait()
		io.WriteString(conn, "hi\n")
		if got := readFull(t, conn, make([]byte, 3)); got != "hi\n" {
			t.Errorf("it reads %q", got)
		}
	})
}

// This holds if the connection has CloseWrite.
func TestOneSideOfAnUpgradedConnectionCanBeClosed(t *testing.T) {
	with(t, 0, func(p *peer) {
		p.request()
		p.say(switching)
		p.say("you said " + p.untilClosed())
	}, func(t *testing.T, c *Conn) {
		conn := tunnel(t, exchangeOn(c, upgradeRequest(t)))
		io.WriteString(conn, "hi")
		if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Error(err)
		}
		if got := readAll(t, conn); got != "you said hi" {
			t.Errorf("it reads %q", got)
		}
	})
	nc := &pieces{data: []byte(switching), piece: len(switching)}
	conn := tunnel(t, exchangeOn(NewConn(nc), upgradeRequest(t)))
	if err := conn.(interface{ CloseWrite() error }).CloseWrite(); !errors.Is(err, http.ErrNotSupported) {
		t.Errorf("closing what can't be closed returns %v", err)
	}
}

func TestWhateverIsSwitchedToTheConnectionIsTheCallers(t *testing.T) {
	for _, c := range []struct{ asked, connection, chosen string }{
		{"websocket", "Upgrade", "WebSocket"},
		{"foo/2, websocket", "keep-alive, upgrade", "websocket"},
		{"foo", "Upgrade", "bar"}, // asked for or not: nothing of ours comes on the connection any more
		{"", "keep-alive", "foo"},
	} {
		req := get(t)
		req.Header = http.Header{"Connection": {c.connection}, "Upgrade": {c.asked}}
		answer := strings.Replace(switching, "websocket", c.chosen, 1) + "what follows"
		e := exchangeOn(NewConn(&pieces{data: []byte(answer), piece: len(answer)}), req)
		if got := readAll(t, tunnel(t, e)); got != "what follows" {
			t.Errorf("asked for %q with %q, given %q: it reads %q", c.asked, c.connection, c.chosen, got)
		}
	}
}

func TestAnUpgradeWorksOverASocket(t *testing.T) {
	httptestutil.CheckLeaks(t, ours)
	w := httptestutil.NewWire(t, func(w *httptestutil.WireConn) {
		w.ReadRequest()
		w.Write(switching, "early")
		io.Copy(w.Conn(), w.Conn())
	})
	conn := tunnel(t, exchangeOn(dial(t, w), upgradeRequest(t)))
	io.WriteString(conn, " and late")
	conn.(interface{ CloseWrite() error }).CloseWrite()
	if got := readAll(t, conn); got != "early and late" {
		t.Errorf("it reads %q", got)
	}
	conn.Close()
}
