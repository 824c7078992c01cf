package watch

import (
	"net"
	"testing"
)

func TestAPlaceIsUsedAgainUnderAnotherToken(t *testing.T) {
	var w Watcher
	l := listen(t)
	conns := make([]*net.TCPConn, 3)
	regs := make([]Registration, len(conns))
	for i := range conns {
		conns[i], _ = l.pair()
		regs[i] = add(t, &w, conns[i], silent{t})
	}
	given := map[Registration]bool{regs[0]: true, regs[1]: true, regs[2]: true}
	for range 100 {
		for _, i := range []int{2, 0} {
			if !w.Remove(regs[i]) {
				t.Fatal("a watched socket was not removed")
			}
		}
		for _, i := range []int{0, 2} {
			old := regs[i]
			regs[i] = add(t, &w, conns[i], silent{t})
			if given[regs[i]] {
				t.Fatal("a registration was given out twice")
			}
			given[regs[i]] = true
			if w.Remove(old) {
				t.Fatal("a registration that has ended was removed again")
			}
		}
	}
	if s := regs[1].set; s.fresh != 3 || s.held != 3 {
		t.Errorf("three sockets have used %d places and hold %d", s.fresh, s.held)
	}
	for _, r := range regs {
		w.Remove(r)
	}
	awaitRest()
}

func TestEverySocketKeepsItsPlaceWhileTheSetGrows(t *testing.T) {
	s := new(set)
	socket := func(i int) Socket { return telling{notified: calling(func() { panic(i) })} }
	const sockets = 10*blockSize + 1
	tokens := make([]uint64, sockets)
	for i := range tokens {
		tokens[i], _ = s.enroll(socket(i))
	}
	told := func(of Socket) (i any) {
		defer func() { i = recover() }()
		of.Notify()
		return nil
	}
	for i, token := range tokens {
		of := s.take(token)
		if of == nil {
			t.Fatalf("socket %d is gone", i)
		}
		if got := told(of); got != i {
			t.Fatalf("the token of socket %d is that of %v", i, got)
		}
		if s.take(token) != nil {
			t.Fatalf("socket %d was taken twice", i)
		}
	}
}
