//go:build !linux

package watch

import (
	"net"
	"syscall"
	"testing"
)

func TestNothingIsWatchedHere(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var w Watcher
	if _, ok := w.Add(telling{conn.(syscall.Conn), silent{t}}); ok {
		t.Error("a socket is watched on a system that cannot")
	}
}
