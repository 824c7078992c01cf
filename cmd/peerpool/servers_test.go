package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/nettest"
)

// serving starts a server that ends with the test.
func serving(t *testing.T, m manners) *server {
	t.Helper()
	needAddresses(t, m.addresses)
	s, err := startServer(m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

// needAddresses skips the test where the system has fewer addresses on its loopback interface.
func needAddresses(t *testing.T, n int) {
	t.Helper()
	if !hasAddresses(n) {
		t.Skipf("the loopback interface does not have %d addresses", n)
	}
}

// visitor is a connection to a server.
type visitor struct {
	t *testing.T
	net.Conn
	in *bufio.Reader
}

func visit(t *testing.T, s *server) *visitor {
	t.Helper()
	return visitAt(t, s, 0)
}

// visitAt is visit at one of the server's addresses.
func visitAt(t *testing.T, s *server, address int) *visitor {
	t.Helper()
	c, err := net.Dial("tcp", s.lns[address].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(httptestutil.Bound)); err != nil {
		t.Fatal(err)
	}
	return &visitor{t, c, bufio.NewReader(c)}
}

func (v *visitor) ask(path string) {
	v.t.Helper()
	if _, err := fmt.Fprintf(v, "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", path); err != nil {
		v.t.Fatal(err)
	}
}

// hears reads one response, which must have that body.
func (v *visitor) hears(body string) {
	v.t.Helper()
	resp, err := http.ReadResponse(v.in, nil)
	if err != nil {
		v.t.Fatalf("no response: %v", err)
	}
	defer resp.Body.Close()
	if got, err := io.ReadAll(resp.Body); err != nil || string(got) != body {
		v.t.Errorf("the response is %q and %v, want %q", got, err, body)
	}
}

// isGone waits for the end of the connection.
func (v *visitor) isGone() {
	v.t.Helper()
	if b, err := v.in.ReadByte(); err == nil {
		v.t.Errorf("a byte %q where the connection should end", b)
	} else if errors.Is(err, os.ErrDeadlineExceeded) {
		v.t.Error("the connection does not end")
	}
}

func TestAServerAnswersWithTheLastElementOfThePath(t *testing.T) {
	s := serving(t, manners{})
	v := visit(t, s)
	v.ask("/a/first")
	v.hears("first")
	v.ask("/second")
	v.hears("second")
	if s.opened.Load() != 1 || s.requests.Load() != 2 {
		t.Errorf("%d connections and %d requests, want 1 and 2", s.opened.Load(), s.requests.Load())
	}
}

func TestAServerClosesWhatIdlesTooLong(t *testing.T) {
	v := visit(t, serving(t, manners{closeAfter: time.Millisecond}))
	v.isGone()
}

func TestARestartEndsAllConnectionsAndNotThePort(t *testing.T) {
	s := serving(t, manners{restartEvery: 2})
	idle, busy := visit(t, s), visit(t, s)
	idle.ask("/1")
	idle.hears("1")
	busy.ask("/2")
	busy.isGone()
	idle.isGone()
	next := visit(t, s)
	next.ask("/3")
	next.hears("3")
}

func TestARestartSparesAConnectionThatHasCarriedNoRequest(t *testing.T) {
	s := serving(t, manners{restartEvery: 1, restarts: 1})
	unused, busy := visit(t, s), visit(t, s)
	nettest.Eventually(t, "the server has both connections", func() bool { return s.opened.Load() == 2 },
		func() any { return s.opened.Load() })
	busy.ask("/1")
	busy.isGone()
	unused.ask("/2")
	unused.hears("2")
}

func TestARestartWaitsForTheRequestsThatItLoses(t *testing.T) {
	s := serving(t, manners{restartEvery: 4, restartWith: 2, restarts: 1})
	a, b := visit(t, s), visit(t, s)
	a.ask("/1")
	a.hears("1")
	a.ask("/2")
	a.hears("2")
	a.ask("/3") // stays unanswered until the other has lost one as well
	b.ask("/4")
	b.hears("4") // is the first on its connection
	b.ask("/5")
	a.isGone()
	b.isGone()
	next := visit(t, s)
	for _, path := range []string{"6", "7", "8", "9", "10"} { // there is no further restart
		next.ask("/" + path)
		next.hears(path)
	}
	if died, lost, served := s.ledger(); died != 1 || lost != 0 || served[0] != 10 {
		t.Errorf("%d restarts, %d POSTs lost, %v requests, want 1, 0 and 10", died, lost, served)
	}
}

func TestAServerLosesTheAddressWithTheMostConnections(t *testing.T) {
	s := serving(t, manners{addresses: 2})
	busy := visitAt(t, s, 1)
	busy.ask("/1")
	busy.hears("1")
	s.loseAddress()
	busy.isGone()
	if _, err := net.Dial("tcp", s.lns[1].Addr().String()); err == nil {
		t.Error("the address is still there")
	}
	other := visitAt(t, s, 0)
	other.ask("/2")
	other.hears("2")
}

func TestAMumblingServerRepeatsItsTurn(t *testing.T) {
	s := serving(t, manners{repeatEvery: 2})
	v := visit(t, s)
	v.ask("/1")
	v.hears("1")
	v.ask("/2")
	v.hears("2")
	v.hears("2")
	v.ask("/3")
	v.hears("3")
}

func TestBabbleRepeatsTheLastResponseOfEachConnection(t *testing.T) {
	s := serving(t, manners{})
	a, b, silent := visit(t, s), visit(t, s), visit(t, s)
	a.ask("/a")
	a.hears("a")
	b.ask("/b")
	b.hears("b")
	s.babble()
	a.hears("a")
	b.hears("b")
	silent.ask("/c")
	silent.hears("c") // and nothing before it
}

func TestAClosedServerLeavesNothing(t *testing.T) {
	httptestutil.CheckLeaks(t)
	s, err := startServer(manners{})
	if err != nil {
		t.Fatal(err)
	}
	v := visit(t, s)
	v.ask("/1")
	v.hears("1")
	s.close()
	v.isGone()
	if _, err := net.Dial("tcp", s.lns[0].Addr().String()); err == nil {
		t.Error("the port is still open")
	}
}
