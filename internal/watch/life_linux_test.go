package watch

import (
	"net"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"weak"
)

// raiseDescriptorLimit lets this process open n descriptors.
func raiseDescriptorLimit(n uint64) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur >= n {
		return err
	}
	limit.Cur = n
	limit.Max = max(limit.Max, n)
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}

func TestNothingRemainsWhenThereIsNothingToWatch(t *testing.T) {
	awaitRest()
	l := listen(t)
	ours, _ := l.pair() // Go's poller is open now
	closing, peer := l.pair()
	before := openDescriptors(t)
	var w Watcher
	for range 3 { // and it can start again
		r := add(t, &w, ours, silent{t})
		if n := watching(); n != 1 {
			t.Fatalf("%d goroutines watch one socket", n)
		}
		if n := openDescriptors(t); n != before+1 {
			t.Fatalf("watching costs %d descriptors", n-before)
		}
		w.Remove(r)
		if n := openDescriptors(t); n != before {
			t.Fatalf("%d descriptors remain after the last Remove", n-before)
		}
		awaitRest()
	}
	e := newEar()
	add(t, &w, closing, e)
	peer.Close()
	<-e.heard
	awaitRest()
	if n := openDescriptors(t); n != before-1 { // the peer is closed
		t.Errorf("%d descriptors remain after the last close", n-before+1)
	}
}

func TestAWatcherThatIsDroppedIsCollectedWhileItsSocketsLive(t *testing.T) {
	ours, _ := listen(t).pair()
	w := new(Watcher)
	r, ok := w.Add(telling{ours, silent{t}})
	if !ok {
		t.Fatal("a socket is not watched")
	}
	dropped := weak.Make(w)
	w = nil
	for dropped.Value() != nil {
		runtime.GC()
	}
	var any Watcher // removing needs no particular one
	if !any.Remove(r) {
		t.Error("the socket was not watched any more")
	}
	awaitRest()
}

func TestNoDescriptorsLeftMeansNotWatched(t *testing.T) {
	ours, _ := listen(t).pair()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	none := syscall.Rlimit{Cur: 0, Max: limit.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	var w Watcher
	_, ok := w.Add(telling{ours, silent{t}})
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if ok {
		t.Error("a socket is watched without an epoll set")
	}
	w.Remove(add(t, &w, ours, silent{t})) // the failure left nothing behind
	awaitRest()
}

func TestRemoveAndCloseAgreeOnWhoCameFirst(t *testing.T) {
	const rounds = 200
	var w Watcher
	l := listen(t)
	before := openDescriptors(t)
	for range rounds {
		ours, peer := l.pair()
		e := newEar()
		r := add(t, &w, ours, e)
		var wg sync.WaitGroup
		removed := make([]bool, 3)
		wg.Go(func() { peer.Close() })
		for i := range removed {
			wg.Go(func() { removed[i] = w.Remove(r) })
		}
		wg.Wait()
		removals := 0
		for _, won := range removed {
			if won {
				removals++
			}
		}
		if removals == 0 {
			<-e.heard
		}
		awaitRest() // the only socket: no call can follow
		if calls := int(e.calls.Load()); removals+calls != 1 {
			t.Fatalf("%d removals and %d calls of one registration", removals, calls)
		}
		ours.Close()
	}
	if n := openDescriptors(t); n != before {
		t.Errorf("%d descriptors remain", n-before)
	}
}

func TestManyGoroutinesAddAndRemoveWhileTheWatcherStartsAndStops(t *testing.T) {
	var w Watcher
	l := listen(t)
	var conns [8][2]*net.TCPConn
	for i := range conns {
		conns[i][0], conns[i][1] = l.pair()
	}
	before := openDescriptors(t)
	var wg sync.WaitGroup
	ears := make([]*ear, len(conns))
	for i, c := range conns {
		ears[i] = newEar()
		wg.Go(func() {
			for range 100 {
				if !w.Remove(add(t, &w, c[0], silent{t})) {
					t.Error("a socket whose peer is there was reported closed")
				}
			}
			add(t, &w, c[0], ears[i])
			c[1].Close()
			<-ears[i].heard
			c[0].Close()
		})
	}
	wg.Wait()
	awaitRest()
	if n := openDescriptors(t); n != before-2*len(conns) {
		t.Errorf("%d descriptors remain", n-before+2*len(conns))
	}
}
