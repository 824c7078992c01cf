package http2

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
		// The quiet hour does not count for the exchange that follows it.
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
		synctest.Wait()
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

// strikes counts what a server of gRPC with default settings objects to: a PING within five minutes of the last one, unless
// the server has sent HEADERS or DATA between the two. Such a server ends the connection at the third.
type strikes struct {
	last  time.Time
	data  bool // sent since the last PING
	count int
}

func (s *strikes) ping() {
	now := time.Now()
	if s.data {
		s.count = 0
	} else if now.Sub(s.last) < 5*time.Minute {
		s.count++
	}
	s.last, s.data = now, false
}

func TestQuietStreamsAreNotPingedMoreThanGRPCBears(t *testing.T) {
	connTest(t, Config{}, func(b *bench) {
		r, stream := b.headed()
		s := strikes{data: true}
		start, probes := time.Now(), 0
		b.server.SetDeadline(time.Now().Add(aDay))
		for time.Since(start) < 2*time.Hour {
			f := b.server.Next()
			switch {
			case f == nil:
				t.Fatalf("the connection ended: %v", b.server.Err())
			case f.Type == xhttp2.FramePing:
				s.ping()
				probes++
			case f.Type == xhttp2.FrameSettings && !f.Flags.Has(xhttp2.FlagSettingsAck):
				probes++
			}
			if s.count > 0 {
				t.Fatalf("%d strikes after %v", s.count, time.Since(start))
			}
			if probes%50 == 49 { // from time to time the server sends data
				b.server.Data(stream, "x", false)
				s.data = true
			}
		}
		if want := 2 * time.Hour / defaultPingAfter; probes < int(want)-3 {
			t.Errorf("%d probes in two hours", probes)
		}
		r.resp.Body.Close()
	})
}

func TestTooManyPingsMakesTheNextConnectionCalmer(t *testing.T) {
	connTest(t, Config{}, func(b *bench) {
		b.watch()
		b.server.Settings()
		if d := b.PingDistance(); d != 0 {
			t.Errorf("%v at first", d)
		}
		b.server.Raw(xhttp2.FrameGoAway, 0, 0, append([]byte{0, 0, 0, 0, 0, 0, 0, 0xb}, "too_many_pings"...))
		synctest.Wait()
		if d := b.PingDistance(); d != 2*pingDistance {
			t.Errorf("%v after the server has complained", d)
		}
	})
}
