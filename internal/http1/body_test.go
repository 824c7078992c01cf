package http1

import (
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool/internal/exchange"
)

// saysThen is a server that answers and goes on as it likes.
func saysThen(first string, then func(*peer)) func(*peer) {
	return func(p *peer) {
		p.request()
		p.say(first)
		then(p)
	}
}

func later(d time.Duration, s string) func(*peer) {
	return func(p *peer) {
		time.Sleep(d)
		io.WriteString(p, s) // the client may have gone
		p.untilClosed()
	}
}

// floods writes until the client goes.
func floods(piece string) func(*peer) {
	return func(p *peer) {
		for {
			if _, err := io.WriteString(p, piece); err != nil {
				return
			}
		}
	}
}

// closeCase is a body that is closed before it has been read.
type closeCase struct {
	name  string
	serve func(*peer)
	read  int // bytes read before
	end   exchange.End
	took  time.Duration // until the exchange has ended
}

const length10 = ok + "Content-Length: 10\r\n\r\n"

var closeCases = []closeCase{
	{name: "what has arrived is drained", serve: answers(length10 + "0123456789"), read: 3},
	{name: "a body that nobody has begun is drained", serve: answers(length10 + "0123456789")},
	{name: "what arrives in time is drained", serve: saysThen(length10+"01234", later(drainWait/2, "56789")), read: 3, took: drainWait / 2},
	{name: "what arrives too late is not", serve: saysThen(length10+"01234", later(2*drainWait, "56789")), read: 3, end: exchange.EndUnread, took: drainWait},
	{name: "what never arrives is not", serve: answers(length10 + "01234"), read: 3, end: exchange.EndUnread, took: drainWait},
	{name: "chunks that have arrived are drained", serve: answers(chunkedHead + "5\r\nhello\r\n0\r\n\r\n"), read: 3},
	{name: "chunks that arrive in time are drained", serve: saysThen(chunkedHead+"5\r\nhello\r\n", later(drainWait/2, "0\r\n\r\n")), took: drainWait / 2},
	{name: "chunks that never end are not drained", serve: answers(chunkedHead + "5\r\nhello\r\n"), end: exchange.EndUnread, took: drainWait},
	{name: "chunks without end are not drained for long", serve: saysThen(chunkedHead, floods("5\r\nhello\r\n")), end: exchange.EndUnread},
	{name: "a trailer that never ends is not drained", serve: answers(chunkedHead + "0\r\nX-Sum: 1"), end: exchange.EndUnread, took: drainWait},
	{name: "a malformed rest is not drained", serve: answers(chunkedHead + "5\r\nhello\r\nx\r\n"), end: exchange.EndUnread},
	{name: "a truncated rest is not drained", serve: saysThen(length10+"01234", func(p *peer) { p.CloseWrite(); p.untilClosed() }), end: exchange.EndUnread},
	{name: "256 KiB are drained", serve: answers(ok + "Content-Length: 262144\r\n\r\n" + strings.Repeat("x", 256<<10))},
	{name: "more than 256 KiB are not worth waiting for", serve: answers(ok + "Content-Length: 262145\r\n\r\n"), end: exchange.EndUnread},
	{name: "the end of the connection is not waited for", serve: answers(ok + "\r\nhello"), end: exchange.EndUnread},
	{name: "a connection that closes anyway is not drained", serve: answers(ok + "Connection: close\r\nContent-Length: 10\r\n\r\n01234"), end: exchange.EndUnread},
	{name: "bytes behind a drained body spoil the connection", serve: answers(hello + evil), end: exchange.EndUnexpected},
}

func TestClosingABodyEarly(t *testing.T) {
	for _, c := range closeCases {
		t.Run(c.name, func(t *testing.T) {
			with(t, 64<<10, c.serve, func(t *testing.T, conn *Conn) {
				e := exchangeOn(conn, get(t))
				resp := run(t, e)
				if _, err := io.ReadFull(resp.Body, make([]byte, c.read)); err != nil {
					t.Fatal(err)
				}
				begun := time.Now()
				if err := resp.Body.Close(); err != nil {
					t.Error(err)
				}
				if took, want := time.Since(begun), min(c.took, closeWait); took != want {
					t.Errorf("closing took %v, want %v", took, want)
				}
				wantEnd(t, e, c.end)
				if took := time.Since(begun); took != c.took {
					t.Errorf("the exchange ended after %v, want %v", took, c.took)
				}
				wantClosed(t, resp.Body)
			})
		})
	}
}

// wantClosed checks that a closed body stays closed.
func wantClosed(t *testing.T, body io.ReadCloser) {
	t.Helper()
	if n, err := body.Read(make([]byte, 1)); n != 0 || err != ErrBodyReadAfterClose {
		t.Errorf("a closed body reads %d, %v", n, err)
	}
	if err := body.Close(); err != nil {
		t.Errorf("closing it again: %v", err)
	}
}

func TestADrainedConnectionCarriesTheNextExchange(t *testing.T) {
	with(t, 0, func(p *peer) {
		p.request()
		p.say(chunkedHead + "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n")
		answers(hello)(p)
	}, func(t *testing.T, c *Conn) {
		first := exchangeOn(c, get(t))
		run(t, first).Body.Close()
		wantEnd(t, first, exchange.Reusable)
		next := exchangeOn(c, get(t))
		wantBody(t, run(t, next), "hello")
		wantEnd(t, next, exchange.Reusable)
	})
}

// TestAReadIsUnderWayWhenItsBodyIsClosed checks that Close returns at once, and that the Read gets the bytes that arrive in
// the next moments.
func TestAReadIsUnderWayWhenItsBodyIsClosed(t *testing.T) {
	for _, c := range []struct {
		name  string
		serve func(*peer)
		read  string
		err   error
		end   exchange.End
		took  time.Duration // until the exchange has ended
	}{
		{name: "nothing arrives", serve: answers(length10),
			err: ErrBodyReadAfterClose, end: exchange.EndUnread, took: drainWait},
		{name: "the rest arrives in time", serve: saysThen(length10, later(drainWait/2, "0123456789")),
			read: "0123456789", err: io.EOF, took: drainWait / 2},
		{name: "a part arrives in time, and the rest never", serve: saysThen(length10, later(drainWait/2, "01234")),
			read: "01234", end: exchange.EndUnread, took: drainWait/2 + drainWait},
		{name: "the last chunk arrives in time", serve: saysThen(chunkedHead, later(drainWait/2, "0\r\n\r\n")),
			err: io.EOF, took: drainWait / 2},
		{name: "the connection ends", serve: saysThen(chunkedHead, func(p *peer) { time.Sleep(drainWait / 2); p.CloseWrite(); p.untilClosed() }),
			err: io.ErrUnexpectedEOF, end: exchange.EndError, took: drainWait / 2},
		{name: "the end of the connection would be the body's", serve: answers(ok + "\r\n"),
			err: ErrBodyReadAfterClose, end: exchange.EndUnread},
	} {
		t.Run(c.name, func(t *testing.T) {
			with(t, 0, c.serve, func(t *testing.T, conn *Conn) {
				e := exchangeOn(conn, get(t))
				resp := run(t, e)
				type result struct {
					n   int
					err error
				}
				read, buf := make(chan result, 1), make([]byte, 10)
				go func() {
					n, err := resp.Body.Read(buf)
					read <- result{n, err}
				}()
				synctest.Wait()
				begun := time.Now()
				resp.Body.Close()
				if took := time.Since(begun); took != 0 {
					t.Errorf("closing took %v", took)
				}
				if r := <-read; string(buf[:r.n]) != c.read || r.err != c.err {
					t.Errorf("the read returns %q, %v; want %q, %v", buf[:r.n], r.err, c.read, c.err)
				}
				wantEnd(t, e, c.end)
				if took := time.Since(begun); took != c.took {
					t.Errorf("the exchange ended after %v, want %v", took, c.took)
				}
				wantClosed(t, resp.Body)
			})
		})
	}
}

func TestADrainedTrailerDoesNotReachTheResponse(t *testing.T) {
	with(t, 0, saysThen(ok+"Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n", later(drainWait/2, "0\r\nX-Sum: 1\r\n\r\n")), func(t *testing.T, c *Conn) {
		e := exchangeOn(c, get(t))
		resp := run(t, e)
		resp.Body.Close()
		wantEnd(t, e, exchange.Reusable)
		if got := resp.Trailer.Get("X-Sum"); got != "" {
			t.Errorf("the trailer is %q", got)
		}
	})
}

// lastGasp is a connection whose last bytes arrive just as it is being closed.
type lastGasp struct {
	pieces
	closed chan struct{}
	last   []byte
}

func (c *lastGasp) Read(b []byte) (int, error) {
	if len(c.data) > 0 {
		return c.pieces.Read(b)
	}
	<-c.closed
	return copy(b, c.last), nil
}

func (c *lastGasp) Close() error {
	close(c.closed)
	return nil
}

// TestAReadThatCloseInterruptsNeverGivesTheConnectionBack checks that such a Read does not return the connection, which
// Close is about to abort.
func TestAReadThatCloseInterruptsNeverGivesTheConnectionBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nc := &lastGasp{
			pieces: pieces{data: []byte(length10 + "01234"), piece: len(length10) + 5},
			closed: make(chan struct{}), last: []byte("56789"),
		}
		e := exchangeOn(NewConn(nc), get(t))
		resp := run(t, e)
		io.ReadFull(resp.Body, make([]byte, 5))
		read := make(chan int)
		go func() {
			n, _ := resp.Body.Read(make([]byte, 5))
			read <- n
		}()
		synctest.Wait()
		resp.Body.Close()
		if n := <-read; n != 5 {
			t.Fatalf("the read got %d bytes", n)
		}
		wantEnd(t, e, exchange.EndUnread)
	})
}

// TestABodyMayBeUsedByManyAtOnce is for the race detector. What each goroutine gets is not checked, because it depends on
// their order.
func TestABodyMayBeUsedByManyAtOnce(t *testing.T) {
	with(t, 0, answers(ok+"Content-Length: 100000\r\n\r\n"+strings.Repeat("x", 100000)), func(t *testing.T, c *Conn) {
		e := exchangeOn(c, get(t))
		resp := run(t, e)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for {
					if _, err := resp.Body.Read(make([]byte, 100)); err != nil && err != errConcurrentRead {
						return
					}
				}
			})
			wg.Go(func() {
				io.CopyN(io.Discard, resp.Body, 1000)
				resp.Body.Close()
			})
		}
		wg.Wait()
		endOfExchange(t, e)
		wantClosed(t, resp.Body)
	})
}

func TestASecondReadAtTheSameTimeIsRefused(t *testing.T) {
	with(t, 0, answers(length10), func(t *testing.T, c *Conn) {
		resp := run(t, exchangeOn(c, get(t)))
		read := make(chan error)
		go func() {
			_, err := resp.Body.Read(make([]byte, 1))
			read <- err
		}()
		synctest.Wait()
		if _, err := resp.Body.Read(make([]byte, 1)); err != errConcurrentRead {
			t.Errorf("the second read returns %v", err)
		}
		resp.Body.Close()
		<-read
	})
}

// TestTheEndComesWithTheLastBytes spares the caller a read, and the pool an idle connection's time.
func TestTheEndComesWithTheLastBytes(t *testing.T) {
	for name, answer := range map[string]string{
		"length":  hello,
		"chunks":  chunkedHead + "5\r\nhello\r\n0\r\n\r\n",
		"trailer": chunkedHead + "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
	} {
		with(t, 0, answers(answer), func(t *testing.T, c *Conn) {
			e := exchangeOn(c, get(t))
			resp := run(t, e)
			if n, err := resp.Body.Read(make([]byte, 100)); n != 5 || err != io.EOF {
				t.Errorf("%s: the first read returns %d, %v", name, n, err)
			}
			if !ended(e) {
				t.Errorf("%s: the exchange has not ended", name)
			}
			if n, err := resp.Body.Read(make([]byte, 100)); n != 0 || err != io.EOF {
				t.Errorf("%s: the next read returns %d, %v", name, n, err)
			}
			if err := resp.Body.Close(); err != nil {
				t.Errorf("%s: closing: %v", name, err)
			}
			wantClosed(t, resp.Body)
		})
	}
}

// TestDataIsNotHeldBackForTheEnd checks that a Read returns the data at once, even if a part of what ends the body has come
// and the rest is late.
func TestDataIsNotHeldBackForTheEnd(t *testing.T) {
	const end = "\r\n0\r\nX-Sum: 1\r\n\r\n"
	for i := range len(end) {
		with(t, 0, saysThen(chunkedHead+"5\r\nhello"+end[:i], later(time.Minute, end[i:])), func(t *testing.T, c *Conn) {
			e := exchangeOn(c, get(t))
			resp := run(t, e)
			begun := time.Now()
			if n, err := resp.Body.Read(make([]byte, 100)); n != 5 || err != nil || time.Since(begun) > 0 {
				t.Errorf("before %q the read returns %d, %v after %v", end[i:], n, err, time.Since(begun))
			}
			if n, err := resp.Body.Read(make([]byte, 100)); n != 0 || err != io.EOF {
				t.Errorf("behind %q the read returns %d, %v", end[i:], n, err)
			}
			wantEnd(t, e, exchange.Reusable)
			if got := resp.Trailer.Get("X-Sum"); got != "1" {
				t.Errorf("behind %q the trailer is %q", end[i:], got)
			}
		})
	}
}

func TestAnErrorOfTheBodyStays(t *testing.T) {
	with(t, 0, func(p *peer) { p.request(); p.say(length10 + "01234") }, func(t *testing.T, c *Conn) {
		e := exchangeOn(c, get(t))
		resp := run(t, e)
		if _, err := io.ReadAll(resp.Body); err != io.ErrUnexpectedEOF {
			t.Errorf("the body ends with %v", err)
		}
		if _, err := resp.Body.Read(make([]byte, 1)); err != io.ErrUnexpectedEOF {
			t.Errorf("reading again returns %v", err)
		}
		resp.Body.Close()
		wantEnd(t, e, exchange.EndError)
	})
}

// TestAReadOfNothingChangesNothing reads into an empty slice, as programs do to ask for an error.
func TestAReadOfNothingChangesNothing(t *testing.T) {
	with(t, 0, answers(hello), func(t *testing.T, c *Conn) {
		e := exchangeOn(c, get(t))
		resp := run(t, e)
		if n, err := resp.Body.Read(nil); n != 0 || err != nil {
			t.Errorf("a read of nothing returns %d, %v", n, err)
		}
		wantBody(t, resp, "hello")
		if _, err := resp.Body.Read(nil); err != io.EOF {
			t.Errorf("at the end a read of nothing returns %v", err)
		}
		wantEnd(t, e, exchange.Reusable)
	})
}

func TestALargeBodyArrivesWhole(t *testing.T) {
	want := strings.Repeat("0123456789abcde\n", 64<<10)
	with(t, 5000, answers(ok+"Content-Length: 1048576\r\n\r\n"+want), func(t *testing.T, c *Conn) {
		e := exchangeOn(c, get(t))
		wantBody(t, run(t, e), want)
		wantEnd(t, e, exchange.Reusable)
	})
}
