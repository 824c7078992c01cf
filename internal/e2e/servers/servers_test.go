package servers_test

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peerpool/peerpool/internal/testkit"
)

// bursts is a load that comes and goes: callers send requests one after the other, all pause together for about
// as long as the server keeps an idle connection, and start again.
type bursts struct {
	callers, each, times int
	pause                time.Duration // give or take some milliseconds
	request              func(caller int) *http.Request
	check                func(body string) error
}

// run returns how many requests were sent. The test fails with each that is lost.
func (b bursts) run(s *testkit.Subject) int {
	s.T.Helper()
	var sent atomic.Int64
	for burst := range b.times {
		var wg sync.WaitGroup
		for caller := range b.callers {
			if burst > 0 { // a caller that comes a little early or late meets a server that is about to close
				offset := time.Duration((caller*7+burst*3)%21-10) * time.Millisecond / 2
				wg.Go(func() {
					<-time.After(b.pause + offset)
					sent.Add(int64(b.call(s, caller)))
				})
				continue
			}
			wg.Go(func() { sent.Add(int64(b.call(s, caller))) })
		}
		wg.Wait()
	}
	return int(sent.Load())
}

func (b bursts) call(s *testkit.Subject, caller int) int {
	for n := range b.each {
		body, err := s.Try(b.request(caller))
		if err == nil && b.check != nil {
			err = b.check(body)
		}
		if err != nil {
			s.T.Errorf("caller %d, request %d: %v", caller, n, err)
			return n
		}
	}
	return b.each
}

// fewer makes a load bearable for go test -short.
func (b bursts) fewer() bursts {
	if testing.Short() {
		b.each, b.times = b.each/4+1, 2
	}
	return b
}
