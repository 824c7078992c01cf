package http2

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/exchange"
	xhttp2 "golang.org/x/net/http2"
)

func TestTheServersLimitIsFollowed(t *testing.T) {
	strict := &http.HTTP2Config{StrictMaxConcurrentRequests: true}
	const always = 1<<31 - 1
	for name, c := range map[string]struct {
		config Config
		first  int
		sizes  []int
	}{
		"as it is":           {Config{}, initialStreams, []int{250, 5, 0, 7}},
		"with one of ours":   {Config{MaxStreams: 6}, 6, []int{6, 5, 0, 6}}, // the first SETTINGS call resize in any case
		"with waiting in it": {Config{HTTP2: strict}, always, []int{always}},
	} {
		t.Run(name, func(t *testing.T) {
			connTest(t, c.config, func(b *bench) {
				if n := b.watch(); n != c.first {
					t.Errorf("%d at first, want %d", n, c.first)
				}
				b.server.MaxStreams(250)
				b.server.MaxStreams(5)
				b.server.Settings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 9}) // does not set the number of streams
				b.server.MaxStreams(0)
				b.server.MaxStreams(7)
				if reasons, sizes := b.said(); !slices.Equal(sizes, c.sizes) || len(reasons) != 0 {
					t.Errorf("%v, %v, want %v", sizes, reasons, c.sizes)
				}
			})
		})
	}
}

func TestAServerThatSetsNoLimitHasOneOfOurs(t *testing.T) {
	connTest(t, Config{}, func(b *bench) {
		b.watch()
		b.server.Settings()
		if _, sizes := b.said(); !slices.Equal(sizes, []int{defaultStreams}) {
			t.Errorf("%v", sizes)
		}
	})
}

func TestWhatHappensBeforeAnybodyWatchesIsToldLater(t *testing.T) {
	connTest(t, Config{}, func(b *bench) {
		b.server.MaxStreams(0)
		synctest.Wait()
		b.server.GoAway(0, xhttp2.ErrCodeNo)
		synctest.Wait()
		b.watch()
		if reasons, sizes := b.said(); !slices.Equal(reasons, []Reason{ReasonGoAway}) || !slices.Equal(sizes, []int{0}) {
			t.Errorf("%v, %v", reasons, sizes)
		}
	})
}

func TestTheEndIsToldOnceToAnOwnerThatBeginsToWatch(t *testing.T) {
	engine := New(Config{})
	for range 200 { // as the scheduler decides whether Watch waits for the lock before Retire does
		c := &Conn{engine: engine}
		var told atomic.Int32
		var both sync.WaitGroup
		c.mu.Lock()
		both.Go(func() { c.Watch(func(Reason) { told.Add(1) }, func(int) {}) })
		for range 10 {
			runtime.Gosched()
		}
		both.Go(func() { c.Retire(ReasonGoAway) })
		for c.Ended() == "" {
			runtime.Gosched()
		}
		c.mu.Unlock()
		both.Wait()
		if n := told.Load(); n != 1 {
			t.Fatalf("the owner was told %d times", n)
		}
	}
}

func TestTheFirstReasonCounts(t *testing.T) {
	connTest(t, Config{}, func(b *bench) {
		b.watch()
		b.server.Settings()
		r := b.start(b.t.Context(), "GET", nil)
		b.request()
		b.server.GoAway(1, xhttp2.ErrCodeNo)
		b.server.GoAway(1, xhttp2.ErrCodeInternal)
		b.server.Reset(1, xhttp2.ErrCodeProtocol)
		synctest.Wait() // otherwise a write may fail before what the server has said is read
		b.server.Close()
		if reasons, _ := b.said(); !slices.Equal(reasons, []Reason{ReasonGoAway}) || b.Ended() != ReasonGoAway {
			t.Errorf("%v", reasons)
		}
		b.Retire("other")
		if reasons, _ := b.said(); len(reasons) != 1 {
			t.Errorf("%v", reasons)
		}
		r.ended(exchange.EndError)
	})
}

func TestAConnectionKnowsWhyItIsOver(t *testing.T) {
	for reason, end := range map[Reason]func(b *bench){
		ReasonPeerClosed: func(b *bench) { b.server.Close() },
		ReasonGoAway:     func(b *bench) { b.server.GoAway(0, xhttp2.ErrCodeNo) },
		ReasonProtocol:   func(b *bench) { b.server.Raw(xhttp2.FrameData, 0, 0, nil) },
		"ours":           func(b *bench) { b.Retire("ours") },
		ReasonPingTimeout: func(b *bench) {
			if alive, err := b.Check(b.t.Context()); alive || err != nil {
				b.t.Errorf("%v, %v", alive, err)
			}
		},
	} {
		t.Run(string(reason), func(t *testing.T) {
			connTest(t, Config{}, func(b *bench) {
				b.watch()
				b.server.Settings()
				synctest.Wait()
				if b.Ended() != "" {
					t.Errorf("over for %q", b.Ended())
				}
				end(b)
				if reasons, _ := b.said(); !slices.Equal(reasons, []Reason{reason}) {
					t.Errorf("%v", reasons)
				}
			})
		})
	}
}

func TestARequestThatFindsNoStreamsAllowedFailsUntouched(t *testing.T) {
	connTest(t, Config{}, func(b *bench) {
		b.server.MaxStreams(0)
		synctest.Wait()
		body := text("body")
		r := b.start(b.t.Context(), "POST", body)
		r.ended(exchange.EndError)
		if r.err != ErrNoStreams || r.Refused || r.Wrote || r.Touched || r.Started {
			t.Errorf("%v, %+v", r.err, r.Exchange)
		}
		body.closed(t, 0)
	})
}

func TestNoRequestWaitsForAStream(t *testing.T) {
	connTest(t, Config{}, func(b *bench) {
		b.server.MaxStreams(1)
		synctest.Wait()
		first := b.start(b.t.Context(), "GET", nil)
		stream := b.request()
		body := text("body")
		second := b.start(b.t.Context(), "POST", body)
		second.ended(exchange.EndError)
		if second.err != errFewStreams || second.Wrote || second.Touched {
			t.Errorf("%v, %+v", second.err, second.Outcome)
		}
		body.closed(t, 0)
		first.pending()
		b.server.Respond(stream, 204, "")
		first.ended(exchange.Reusable)
		third := b.start(b.t.Context(), "GET", nil)
		b.server.Respond(b.request(), 204, "")
		third.ended(exchange.Reusable)
	})
}

func TestALimitThatNoIntHoldsIsNone(t *testing.T) {
	connTest(t, Config{}, func(b *bench) {
		b.watch()
		b.server.MaxStreams(1<<32 - 1)
		for range 3 {
			r := b.start(b.t.Context(), "GET", nil)
			b.server.Respond(b.request(), 204, "")
			r.ended(exchange.Reusable)
		}
		if _, sizes := b.said(); !slices.Equal(sizes, []int{1<<31 - 1}) {
			t.Errorf("%v", sizes)
		}
	})
}

func TestAStrictRequestWaitsUntilAStreamIsAllowed(t *testing.T) {
	connTest(t, Config{HTTP2: &http.HTTP2Config{StrictMaxConcurrentRequests: true}}, func(b *bench) {
		b.server.MaxStreams(0)
		synctest.Wait()
		r := b.start(b.t.Context(), "GET", nil)
		r.pending()
		b.server.MaxStreams(1)
		b.server.Respond(b.request(), 204, "")
		r.ended(exchange.Reusable)
	})
}

var errGone = errors.New("the caller is gone")

// NewConn must return in time even if the server accepts no bytes.
func TestAConnectionThatCannotBeStartedInTimeIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New(Config{})
		nc, server := httptestutil.Pipe(1)
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(errGone) })
		c, err := e.NewConn(ctx, nc, Known{})
		if c != nil || err != errGone {
			t.Errorf("%v, %v", c, err)
		}
		if _, err := nc.Write([]byte("x")); err == nil {
			t.Error("the connection is open")
		}
		server.Close()
	})
}

func TestErrorsAreCountedInNetHTTPsWords(t *testing.T) {
	var counted []string
	config := Config{HTTP2: &http.HTTP2Config{CountError: func(what string) { counted = append(counted, what) }}}
	connTest(t, config, func(b *bench) {
		b.server.Settings()
		r := b.start(b.t.Context(), "GET", nil)
		b.server.Reset(b.request(), xhttp2.ErrCodeInternal)
		r.ended(exchange.EndError)
		b.server.GoAway(1, xhttp2.ErrCodeEnhanceYourCalm)
		b.server.Data(0, "x", false)
		synctest.Wait()
		want := []string{"recv_rststream_INTERNAL_ERROR", "recv_goaway_ENHANCE_YOUR_CALM", "read_frame_conn_error_PROTOCOL_ERROR"}
		if !slices.Equal(counted, want) {
			t.Errorf("%q, want %q", counted, want)
		}
	})
}
