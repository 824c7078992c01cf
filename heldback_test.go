package peerpool

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// backlogged is a server that answers when it is told to, a Transport that may have one connection to it, and what the
// Transport tells about waiting for that connection.
type backlogged struct {
	*cluster
	answer chan struct{} // closed when the server answers

	mu    sync.Mutex // guards waits and dones
	waits []AcquireWait
	dones []AcquireDone
}

func newBacklogged(t *testing.T, tr *Transport) *backlogged {
	b := &backlogged{answer: make(chan struct{})}
	tr.MaxConnsPerHost = 1
	tr.Observer = &Observer{
		AcquireWait: func(_ context.Context, w AcquireWait) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.waits = append(b.waits, w)
		},
		AcquireDone: func(_ context.Context, d AcquireDone) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.dones = append(b.dones, d)
		},
	}
	b.cluster = newCluster(t, 1, tr)
	b.at(1).does(func(w http.ResponseWriter, r *http.Request) {
		<-b.answer
		serves(w, r)
	})
	return b
}

// begin begins a request that has that much time, and returns when it waits for something.
func (b *backlogged) begin(within time.Duration) (result <-chan error) {
	ctx, cancel := context.WithTimeout(b.t.Context(), within)
	ended := make(chan error, 1)
	go func() {
		defer cancel()
		ended <- peerTry(b.tr, peerRequest(b.t, "http://a.test/", nil).WithContext(ctx))
	}()
	synctest.Wait()
	return ended
}

func TestARequestThatMaxConnsPerHostHoldsBackIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBacklogged(t, &Transport{})
		first := b.begin(time.Hour)
		second := b.begin(time.Hour)
		time.Sleep(2 * time.Second)
		third := b.begin(time.Second)
		if err := <-third; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the third has ended with %v", err)
		}
		close(b.answer)
		for _, ended := range []<-chan error{first, second} {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		b.tr.CloseIdleConnections()

		id := b.dones[0].Identity
		want := []AcquireWait{
			{Identity: id, Host: "a.test", Attempt: 1, MaxConns: 1, Waiting: 1},
			{Identity: id, Host: "a.test", Attempt: 1, MaxConns: 1, Waiting: 2, Longest: 2 * time.Second},
		}
		if !slices.Equal(b.waits, want) {
			t.Errorf("told of %+v, want %+v", b.waits, want)
		}
		var told []string
		for _, d := range b.dones {
			text := "served"
			if d.Err != nil {
				text = string(d.ErrorType)
			}
			if d.HeldBack {
				text += " after being held back for " + d.Waited.String()
			}
			told = append(told, text)
		}
		if want := []string{"served", "timeout after being held back for 1s", "served after being held back for 3s"}; !slices.Equal(told, want) {
			t.Errorf("the attempts: %q, want %q", told, want)
		}
	})
}

func TestARequestThatWaitsForItsOwnDialIsNotHeldBackAndTheNextOneIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBacklogged(t, &Transport{DialTimeout: time.Minute})
		close(b.answer)
		b.at(1).dark.Store(true)
		first := b.begin(time.Second)
		second := b.begin(2 * time.Second)
		for _, ended := range []<-chan error{first, second} {
			if err := <-ended; !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a request to a silent server has ended with %v", err)
			}
		}
		if b.dones[0].HeldBack || !b.dones[1].HeldBack {
			t.Errorf("held back: %v and %v, want only the second", b.dones[0].HeldBack, b.dones[1].HeldBack)
		}
		if len(b.waits) != 1 || b.waits[0].Dialing != 1 || b.waits[0].Waiting != 2 {
			t.Errorf("told of %+v, want 2 that wait, and 1 dial", b.waits)
		}
	})
}
