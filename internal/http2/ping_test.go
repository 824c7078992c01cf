package http2

//lint:file-ignore SA1019 see engine.go

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool/internal/exchange"
	xhttp2 "golang.org/x/net/http2"
)

func TestPingsWaitForQuiet(t *testing.T) {
	connTest(t, Config{}, func(b *bench) {
		r, stream := b.headed()
		start := time.Now()
		for range 10 {
			time.Sleep(14 * time.Second)
			b.server.Data(stream, "x", false)
			synctest.Wait()
		}
		if f := b.server.Await(xhttp2.FramePing, 0); f == nil {
			t.Fatal("no ping")
		}
		if took := time.Since(start); took != 140*time.Second+defaultPingAfter {
			t.Errorf("a ping after %v", took)
		}
		r.resp.Body.Close()
	})
}

func TestAnUnansweredPingEndsAllExchanges(t *testing.T) {
	connTest(t, Config{HTTP2: &http.HTTP2Config{SendPingTimeout: 4 * time.Second, PingTimeout: time.Second}}, func(b *bench) {
		b.watch()
		b.server.Settings()
		b.server.Mute = true
		start := time.Now()
		runs := []*run{b.start(b.t.Context(), "GET", nil), b.start(b.t.Context(), "POST", text("body"))}
		for _, r := range runs {
			r.ended(exchange.EndError)
			if r.err != ErrLost || !r.Lost || !r.Wrote || r.Started || r.Refused {
				t.Errorf("%v, %+v", r.err, r.Exchange)
			}
		}
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("after %v", took)
		}
		if b.Ended() != ReasonPingTimeout {
			t.Errorf("over for %q", b.Ended())
		}
	})
}

func TestTheMonitorRestsWhileNothingGoesOn(t *testing.T) {
	connTest(t, Config{}, func(b *bench) {
		r, stream := b.headed()
		b.server.Data(stream, "", true)
		r.resp.Body.Read(make([]byte, 1))
		r.ended(exchange.Reusable)
		time.Sleep(time.Hour)
		b.server.Mute = true
		// The hour does not count for the exchange that follows it.
		start := time.Now()
		second := b.start(b.t.Context(), "GET", nil)
		<-second.done
		if took := time.Since(start); took != defaultPingAfter+defaultPingTimeout || second.err != ErrLost {
			t.Errorf("%v after %v", second.err, took)
		}
	})
}

func TestAConnectionIsQuietAfterAWhileOrAFailure(t *testing.T) {
	connTest(t, Config{}, func(b *bench) {
		b.server.Settings()
		synctest.Wait()
		if b.Quiet() {
			t.Error("quiet at once")
		}
		time.Sleep(defaultPingAfter - 1)
		if b.Quiet() {
			t.Error("quiet early")
		}
		time.Sleep(time.Nanosecond)
		if !b.Quiet() {
			t.Error("not quiet")
		}
		go func() { // ends with the connection
			for b.server.Next() != nil {
			}
		}()
		if alive, err := b.Check(b.t.Context()); !alive || err != nil {
			t.Errorf("%v, %v", alive, err)
		}
		if b.Quiet() {
			t.Error("quiet after an answer")
		}
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(b.t.Context(), time.Second)
		defer cancel()
		b.server.Mute = true
		r := b.start(ctx, "GET", nil)
		r.ended(exchange.EndTimeout)
		if !b.Quiet() {
			t.Error("not quiet after a request of which nothing was heard")
		}
	})
}

func TestNobodyIsPingedWhoDoesNotWantTo(t *testing.T) {
	connTest(t, Config{HTTP2: &http.HTTP2Config{SendPingTimeout: -1}}, func(b *bench) {
		b.server.Settings()
		r := b.start(b.t.Context(), "GET", nil)
		time.Sleep(30 * time.Minute)
		r.pending()
		if b.Quiet() {
			t.Error("quiet")
		}
		b.server.Respond(b.request(), 204, "")
		r.ended(exchange.Reusable)
	})
}

func TestOneCheckServesAllWhoWait(t *testing.T) {
	connTest(t, Config{}, func(b *bench) {
		b.server.Settings()
		synctest.Wait()
		answers := make(chan bool)
		for range 5 {
			go func() {
				alive, err := b.Check(context.Background())
				answers <- alive && err == nil
			}()
		}
		ctx, cancel := context.WithCancelCause(b.t.Context())
		gone := make(chan error)
		go func() {
			_, err := b.Check(ctx)
			gone <- err
		}()
		synctest.Wait()
		cancel(errGone)
		if err := <-gone; err != errGone {
			t.Errorf("%v", err)
		}
		pings := 0
		go func() { // ends with the connection
			for f := b.server.Next(); f != nil; f = b.server.Next() {
				if f.Type == xhttp2.FramePing {
					pings++
				}
			}
		}()
		for range 5 {
			if !<-answers {
				t.Error("not alive")
			}
		}
		synctest.Wait()
		if pings != 1 {
			t.Errorf("%d pings", pings)
		}
	})
}

func TestACheckThatFailsClosesTheConnection(t *testing.T) {
	connTest(t, Config{}, func(b *bench) {
		b.server.Mute = true
		start := time.Now()
		if alive, err := b.Check(b.t.Context()); alive || err != nil {
			t.Errorf("%v, %v", alive, err)
		}
		if took := time.Since(start); took != checkTimeout || b.Ended() != ReasonPingTimeout {
			t.Errorf("%q after %v", b.Ended(), took)
		}
		for b.server.Next() != nil {
		}
	})
}
