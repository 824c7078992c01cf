package watch

import (
	"net"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// listener hands out pairs of connected sockets.
type listener struct {
	t  testing.TB
	ln net.Listener
}

func listen(t testing.TB) *listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return &listener{t, ln}
}

// pair returns our end of a new connection and the peer's. The test's end closes both.
func (l *listener) pair() (ours, peer *net.TCPConn) {
	l.t.Helper()
	accepted := make(chan net.Conn, 1)
	go func() {
		conn, _ := l.ln.Accept()
		accepted <- conn
	}()
	conn, err := net.Dial("tcp", l.ln.Addr().String())
	if err != nil {
		l.t.Fatal(err)
	}
	other := <-accepted
	if other == nil {
		l.t.Fatal("the listener is closed")
	}
	l.t.Cleanup(func() { conn.Close(); other.Close() })
	return conn.(*net.TCPConn), other.(*net.TCPConn)
}

// ear waits for one call of PeerClosed and counts them.
type ear struct {
	calls atomic.Int32
	heard chan struct{}
}

func newEar() *ear { return &ear{heard: make(chan struct{})} }

func (e *ear) Notify() {
	if e.calls.Add(1) == 1 {
		close(e.heard)
	}
}

// calling calls the function.
type calling func()

func (f calling) Notify() { f() }

// add watches conn until the test's end at the latest.
func add(t testing.TB, w *Watcher, conn syscall.Conn, to notified) Registration {
	t.Helper()
	r, ok := w.Add(telling{conn, to})
	if !ok {
		t.Fatal("a socket is not watched")
	}
	t.Cleanup(func() { w.Remove(r) })
	return r
}

func write(t testing.TB, conn net.Conn, data string) {
	t.Helper()
	if _, err := conn.Write([]byte(data)); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, conn net.Conn, n int) {
	t.Helper()
	for buf := make([]byte, n); n > 0; {
		got, err := conn.Read(buf[:n])
		if err != nil {
			t.Fatal(err)
		}
		n -= got
	}
}

// descriptor is the number of the socket.
func descriptor(t testing.TB, conn syscall.Conn) (fd uintptr) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err == nil {
		err = raw.Control(func(n uintptr) { fd = n })
	}
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

// openDescriptors counts what this process has open.
func openDescriptors(t testing.TB) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}

// watching counts the goroutines of all Watchers, by where they were started: one that has not run yet
// shows nothing else.
func watching() int {
	buf := make([]byte, 1<<20)
	return strings.Count(string(buf[:runtime.Stack(buf, true)]), "watch.(*Watcher).enroll in goroutine")
}

// awaitRest returns when no Watcher has a goroutine any more; the test's time limit ends what never is.
func awaitRest() {
	for watching() > 0 {
		runtime.Gosched()
	}
}
