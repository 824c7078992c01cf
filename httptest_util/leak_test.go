package httptestutil_test

import (
	"net"
	"runtime"
	"testing"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// lingering is what the stack of a goroutine in linger contains.
const lingering = "httptest_util_test.linger("

func linger(started chan<- struct{}, leave <-chan struct{}) {
	started <- struct{}{}
	<-leave
}

func TestALingeringGoroutineIsReportedWithItsStack(t *testing.T) {
	leave := make(chan struct{})
	defer close(leave)
	texts := failures(t, func(tb testing.TB) {
		httptestutil.CheckLeaksWithin(tb, time.Millisecond, lingering)
		started := make(chan struct{})
		go linger(started, leave)
		<-started
	})
	wantFailure(t, texts, "linger")
	wantEqual(t, "reports", len(texts), 1)
}

func TestGoroutinesFromBeforeAndOfOthersAreNoLeaks(t *testing.T) {
	leave, started := make(chan struct{}), make(chan struct{})
	defer close(leave)
	go linger(started, leave)
	<-started
	wantNoFailure(t, failures(t, func(tb testing.TB) {
		httptestutil.CheckLeaksWithin(tb, time.Millisecond, lingering)
		httptestutil.CheckLeaksWithin(tb, time.Millisecond, "no such function")
		go func() {
			started <- struct{}{}
			<-leave
		}()
		<-started
	}))
}

func TestAGoroutineOnItsWayOutIsNoLeak(t *testing.T) {
	leave, started := make(chan struct{}), make(chan struct{})
	wantNoFailure(t, failures(t, func(tb testing.TB) {
		httptestutil.CheckLeaks(tb, lingering)
		go linger(started, leave)
		<-started
		// Cleanups run last to first: this one before CheckLeaks looks.
		tb.Cleanup(func() { go close(leave) })
	}))
}

func TestAnOpenSocketIsReportedWithItsAddress(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("sockets are listed on Linux alone")
	}
	for network, address := range map[string]string{"tcp4": "127.0.0.1:0", "tcp6": "[::1]:0"} {
		ln, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		var kept net.Conn
		texts := failures(t, func(tb testing.TB) {
			httptestutil.CheckLeaksWithin(tb, time.Millisecond)
			if kept, err = net.Dial(network, ln.Addr().String()); err != nil {
				tb.Fatalf("%v", err)
			}
		})
		wantFailure(t, texts, "a socket: descriptor ")
		wantFailure(t, texts, "local "+kept.LocalAddr().String()+", remote "+ln.Addr().String())
		kept.Close()
	}
}
