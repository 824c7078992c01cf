//go:build !race

package watch

import (
	"net"
	"syscall"
	"testing"
	"unsafe"
)

// ready is a socket that has its RawConn at hand, as those of the pool have.
type ready struct{ raw syscall.RawConn }

func (r ready) SyscallConn() (syscall.RawConn, error) { return r.raw, nil }
func (ready) Notify()                                 {}

func readySocket(t testing.TB, conn *net.TCPConn) Socket {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	return &ready{raw}
}

// The owner of the socket keeps the registration, and the set keeps a slot.
func TestAWatchedSocketCostsLittle(t *testing.T) {
	if size := unsafe.Sizeof(Registration{}) + unsafe.Sizeof(slot{}); size > 40 && unsafe.Sizeof(uintptr(0)) == 8 {
		t.Errorf("%d bytes", size)
	}
	var w Watcher
	l := listen(t)
	other, _ := l.pair()
	add(t, &w, other, silent{t}) // keeps the set
	ours, _ := l.pair()
	socket := readySocket(t, ours)
	if n := testing.AllocsPerRun(100, func() {
		r, ok := w.Add(socket)
		if !ok || !w.Remove(r) {
			t.Fatal("the socket was not watched")
		}
	}); n >= 1 {
		t.Errorf("watching a socket and not any more makes %v allocations", n)
	}
}
