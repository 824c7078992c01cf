package watch

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
)

func TestTheClosesOfAPeerAreNoticed(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *net.TCPConn){
		"close":          func(t *testing.T, c *net.TCPConn) { c.Close() },
		"reset":          func(t *testing.T, c *net.TCPConn) { c.SetLinger(0); c.Close() },
		"half-close":     func(t *testing.T, c *net.TCPConn) { c.CloseWrite() },
		"data and close": func(t *testing.T, c *net.TCPConn) { write(t, c, "HTTP/1.1 408 Request Timeout\r\n\r\n"); c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			var w Watcher
			ours, peer := listen(t).pair()
			e := newEar()
			r := add(t, &w, ours, e)
			end(t, peer)
			<-e.heard
			if w.Remove(r) {
				t.Error("Remove claims to have come before the close")
			}
			awaitRest()
			if n := e.calls.Load(); n != 1 {
				t.Errorf("Notify was called %d times", n)
			}
		})
	}
}

func TestAPeerThatClosedBeforeIsNoticed(t *testing.T) {
	var w Watcher
	ours, peer := listen(t).pair()
	peer.Close()
	if _, err := ours.Read(make([]byte, 1)); err == nil { // the close has arrived
		t.Fatal("the peer sent something")
	}
	e := newEar()
	add(t, &w, ours, e)
	<-e.heard
}

func TestAUnixSocketIsWatched(t *testing.T) {
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	conn, err := net.Dial("unix", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	peer, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	var w Watcher
	e := newEar()
	add(t, &w, conn.(*net.UnixConn), e)
	peer.Close()
	<-e.heard
}

func TestInputIsNoticedWhereItIsAskedFor(t *testing.T) {
	for name, early := range map[string]bool{"later": false, "before": true} {
		t.Run(name, func(t *testing.T) {
			var w Watcher
			ours, peer := listen(t).pair()
			e := newEar()
			if early {
				write(t, peer, "data")
			}
			r, ok := w.AddInput(telling{ours, e})
			if !ok {
				t.Fatal("a socket is not watched")
			}
			if !early {
				write(t, peer, "data")
			}
			<-e.heard
			if w.Remove(r) {
				t.Error("Remove claims to have come before the data")
			}
			read(t, ours, len("data"))
			awaitRest()
			if r, ok = w.AddInput(telling{ours, e}); !ok {
				t.Fatal("a socket is not watched a second time")
			}
			if !w.Remove(r) {
				t.Error("there was something to read after all had been read")
			}
		})
	}
}

func TestDataIsNotAClose(t *testing.T) {
	var w Watcher
	l := listen(t)
	busy, busyPeer := l.pair()
	other, otherPeer := l.pair()
	heard := newEar()
	add(t, &w, busy, heard)
	for range 3 {
		write(t, busyPeer, "data")
		read(t, busy, 4)
		write(t, busyPeer, "left unread") // loopback: it has arrived when Write returns
		read(t, busy, len("left "))

		after := newEar()
		add(t, &w, other, after)
		otherPeer.Close()
		<-after.heard // whatever came before it was handled
		if n := heard.calls.Load(); n != 0 {
			t.Fatalf("data called Notify %d times", n)
		}
		read(t, busy, len("unread"))
		other, otherPeer = l.pair()
	}
	busyPeer.Close()
	<-heard.heard
}

func TestARemovedSocketIsNotReported(t *testing.T) {
	var w Watcher
	l := listen(t)
	kept, keptPeer := l.pair()
	removed, removedPeer := l.pair()
	e := newEar()
	add(t, &w, kept, e)
	r := add(t, &w, removed, silent{t})
	if !w.Remove(r) {
		t.Error("Remove claims to have come too late")
	}
	if w.Remove(r) {
		t.Error("the second Remove claims to have done something")
	}
	removedPeer.Close()
	if _, err := removed.Read(make([]byte, 1)); err == nil {
		t.Fatal("the peer sent something")
	}
	keptPeer.Close()
	<-e.heard
	awaitRest()
}

func TestARemovedSocketCanBeWatchedAgain(t *testing.T) {
	var w Watcher
	l := listen(t)
	other, _ := l.pair()
	add(t, &w, other, silent{t}) // keeps the set
	ours, peer := l.pair()
	w.Remove(add(t, &w, ours, silent{t}))
	e := newEar()
	add(t, &w, ours, e)
	peer.Close()
	<-e.heard
}

func TestASocketIsWatchedOnceAtATime(t *testing.T) {
	var w Watcher
	l := listen(t)
	other, _ := l.pair()
	add(t, &w, other, silent{t}) // keeps the set
	ours, peer := l.pair()
	e := newEar()
	add(t, &w, ours, e)
	if _, ok := w.Add(telling{ours, silent{t}}); ok {
		t.Error("the same socket is watched twice")
	}
	peer.Close()
	<-e.heard
	again := newEar()
	add(t, &w, ours, again)
	<-again.heard
}

func TestWhatIsClosedOrIsAFileIsNotWatched(t *testing.T) {
	var w Watcher
	ours, _ := listen(t).pair()
	ours.Close()
	if _, ok := w.Add(telling{ours, silent{t}}); ok {
		t.Error("a closed socket is watched")
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, ok := w.Add(telling{file, silent{t}}); ok {
		t.Error("a file is watched")
	}
	awaitRest()
}

func TestAnEventForARecycledDescriptorReachesNobodyElse(t *testing.T) {
	var w Watcher
	l := listen(t)
	other, _ := l.pair()
	add(t, &w, other, silent{t}) // keeps the set
	old, oldPeer := l.pair()
	number := descriptor(t, old)
	stale := add(t, &w, old, silent{t})
	old.Close() // before Remove, which is wrong but must not hurt anyone
	oldPeer.Close()

	ours, peer := l.pair()
	for n := 0; descriptor(t, ours) != number; n++ {
		if ours, peer = peer, ours; n%2 == 1 { // either end may have got it
			ours, peer = l.pair()
		}
		if n == 20 {
			t.Fatal("the number of the closed descriptor does not come back")
		}
	}
	e := newEar()
	r := add(t, &w, ours, e)
	if stale == r {
		t.Fatal("a registration was given out twice")
	}
	w.Remove(stale)
	stale.set.notify(stale.token) // an event that was on its way
	if n := e.calls.Load(); n != 0 {
		t.Fatalf("the old registration called the new one %d times", n)
	}
	peer.Close()
	<-e.heard // so removing the old one did not remove the new one
}

func TestPeerClosedMayUseTheWatcher(t *testing.T) {
	var w Watcher
	l := listen(t)
	first, firstPeer := l.pair()
	second, secondPeer := l.pair()
	third, _ := l.pair()
	removed := add(t, &w, third, silent{t})
	e := newEar()
	inside := make(chan Registration, 1)
	inside <- add(t, &w, first, calling(func() {
		if w.Remove(<-inside) {
			t.Error("a registration that is being called was removed")
		}
		if !w.Remove(removed) { // the last one: the set retires under its own goroutine
			t.Error("another registration was not removed")
		}
		add(t, &w, second, e)
		secondPeer.Close()
	}))
	firstPeer.Close()
	<-e.heard
	awaitRest()
}

func TestABurstOfClosesIsNoticedWhole(t *testing.T) {
	const burst = 2000
	if err := raiseDescriptorLimit(2*burst + 200); err != nil {
		t.Skip(err)
	}
	var w Watcher
	l := listen(t)
	ears, peers := make([]*ear, burst), make([]*net.TCPConn, burst)
	for i := range burst {
		var ours *net.TCPConn
		ours, peers[i] = l.pair()
		ears[i] = newEar()
		add(t, &w, ours, ears[i])
	}
	if n := watching(); n != 1 {
		t.Errorf("%d goroutines watch", n)
	}
	for _, peer := range peers {
		peer.Close()
	}
	for _, e := range ears {
		<-e.heard
	}
	awaitRest()
	for i, e := range ears {
		if n := e.calls.Load(); n != 1 {
			t.Errorf("PeerClosed of socket %d was called %d times", i, n)
		}
	}
}

func TestAWatcherWorksInABubbleAndEndsWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w Watcher
		ours, peer := listen(t).pair()
		idle, _ := listen(t).pair()
		r := add(t, &w, idle, silent{t})
		e := newEar()
		add(t, &w, ours, e)
		peer.Close()
		<-e.heard
		w.Remove(r)
	})
}
