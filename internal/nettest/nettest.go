// Package nettest holds what tests of several packages need of the network: sockets, and a way to wait for what happens to
// them. It imports no package that is tested, so all of them can use it in their tests. Only tests import it.
package nettest

import (
	"net"
	"testing"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// TCPPair returns both ends of a TCP connection on loopback. The end of the test closes them.
func TCPPair(t testing.TB) (ours, theirs *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dialed, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialed.Close() })
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { accepted.Close() })
	return dialed.(*net.TCPConn), accepted.(*net.TCPConn)
}

// RefusingAddr returns an address on loopback at which nobody listens until the end of the test. Its port belongs to a
// connection, so that no server of another test gets it meanwhile.
func RefusingAddr(t testing.TB) string {
	t.Helper()
	ours, _ := TCPPair(t)
	return ours.LocalAddr().String()
}

// Eventually waits until cond holds, and ends the test if that does not happen within the bound of the test servers. It
// checks again and again, because nothing reports what it waits for. A failure says what did not happen, and what show returns.
func Eventually(t testing.TB, what string, cond func() bool, show ...func() any) {
	t.Helper()
	giveUp := time.NewTimer(httptestutil.Bound)
	defer giveUp.Stop()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for !cond() {
		select {
		case <-again.C:
		case <-giveUp.C:
			for _, show := range show {
				t.Logf("%+v", show())
			}
			t.Fatalf("after %v still not: %s", httptestutil.Bound, what)
		}
	}
}
