package peerpool

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
	"unique"
)

func TestWhatIsLearnedOfTheLatestIdentitiesIsKeptAndNoMore(t *testing.T) {
	var m memory
	id := func(i int) unique.Handle[Identity] { return unique.Make(Identity{address: fmt.Sprint(i)}) }
	first := m.of(id(0))
	for i := range 10 * maxLearned {
		if l := m.of(id(i)); l != m.of(id(i)) {
			t.Fatalf("identity %d is learned about twice", i)
		}
		if n := len(m.young) + len(m.aged); n > maxLearned {
			t.Fatalf("%d are remembered after %d, want at most %d", n, i+1, maxLearned)
		}
		if i < maxLearned/2-1 && m.of(id(0)) != first {
			t.Fatalf("the first was forgotten after %d", i+1)
		}
	}
	if m.of(id(0)) == first {
		t.Error("the first is still remembered")
	}
	often := m.of(id(-1))
	for i := range 10 * maxLearned {
		m.of(id(i))
		if i%100 == 0 && m.of(id(-1)) != often {
			t.Fatalf("one that is asked for all the time was forgotten after %d others", i+1)
		}
	}
}

func TestAServerThatWantedHTTP1IsAskedForHTTP2AgainSomeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := new(learned)
		if l.wantsHTTP1() {
			t.Error("a server that has said nothing gets HTTP/1.1")
		}
		l.wantHTTP1()
		time.Sleep(http1Memory - time.Nanosecond)
		if !l.wantsHTTP1() {
			t.Error("forgotten too early")
		}
		time.Sleep(time.Nanosecond)
		if l.wantsHTTP1() {
			t.Error("remembered for ever")
		}
	})
}
