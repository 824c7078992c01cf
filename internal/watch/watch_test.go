package watch

import (
	"errors"
	"syscall"
	"testing"
)

// telling is a connection that reports the close of its peer to another part of the test.
type telling struct {
	syscall.Conn
	notified
}

type notified interface{ Notify() }

// silent fails the test when it is told anything.
type silent struct{ t *testing.T }

func (s silent) Notify() { s.t.Error("PeerClosed was called") }

// noSocket is a connection without a descriptor, in the ways in which that can show.
type noSocket struct {
	err     error // of SyscallConn
	control error
}

func (c noSocket) SyscallConn() (syscall.RawConn, error) { return c, c.err }
func (c noSocket) Control(func(uintptr)) error           { return c.control }
func (c noSocket) Read(func(uintptr) bool) error         { return c.control }
func (c noSocket) Write(func(uintptr) bool) error        { return c.control }

func TestAConnectionWithoutADescriptorIsNotWatched(t *testing.T) {
	var w Watcher
	for _, conn := range []syscall.Conn{noSocket{}, noSocket{err: errors.New("no")}, noSocket{control: errors.New("no")}} {
		r, ok := w.Add(telling{conn, silent{t}})
		if ok || r != (Registration{}) {
			t.Errorf("%v is watched", conn)
		}
		if w.Remove(r) {
			t.Errorf("%v was removed", conn)
		}
	}
}
