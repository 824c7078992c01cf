package http1

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/exchange"
	"github.com/peerpool/peerpool/internal/nettest"
)

var errFull = errors.New("full")

// vessel takes as many bytes as it has room for, and then fails.
type vessel struct {
	bytes.Buffer
	room int
}

func (w *vessel) take(p []byte) (int, error) {
	n := min(len(p), w.room)
	w.room -= n
	w.Buffer.Write(p[:n])
	if n < len(p) {
		return n, errFull
	}
	return n, nil
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// partly answers with a body of which it keeps the end back until the connection is closed.
func partly(size int) httptestutil.Script {
	return func(w *httptestutil.WireConn) {
		w.ReadRequest()
		sent := withLength(text(size))
		w.Write(sent[:len(sent)-20])
		w.WaitClosed()
	}
}

// TestACopyCanBeInterrupted interrupts a copy by the context and by closing the body, also while the system copies.
func TestACopyCanBeInterrupted(t *testing.T) {
	const size = large
	for to, open := range everyTarget() {
		for how, want := range map[string]error{"by its context": errReason, "by a close": ErrBodyReadAfterClose} {
			t.Run(to+" "+how, func(t *testing.T) {
				c, target := dial(t, httptestutil.NewWire(t, partly(size))), open(t)
				req, cancel := cancelable(get(t))
				defer cancel(nil)
				e := exchangeOn(c, req)
				resp := run(t, e)
				failed := make(chan error)
				go func() {
					_, err := io.Copy(target.Writer, resp.Body)
					failed <- err
				}()
				for e.state.Load()&bodyReading == 0 {
					runtime.Gosched()
				}
				if want == errReason {
					cancel(errReason)
				} else {
					resp.Body.Close()
				}
				if err := <-failed; err != want {
					t.Errorf("the error is %v, want %v", err, want)
				}
				if end := endOfExchange(t, e); end == exchange.Reusable {
					t.Error("the connection is to be used again")
				}
			})
		}
	}
}

func TestAWriterThatFailsLeavesTheRestOfTheBody(t *testing.T) {
	const size = 200 << 10
	for _, room := range []int{0, 10, 100 << 10} {
		with(t, 0, answers(withLength(text(size))), func(t *testing.T, c *Conn) {
			w := &vessel{room: room}
			e := exchangeOn(c, get(t))
			resp := run(t, e)
			n, err := io.Copy(writerFunc(w.take), resp.Body)
			if err != errFull || n != int64(room) || w.String() != text(size)[:room] {
				t.Errorf("%d bytes, %v; %d arrived", n, err, w.Len())
			}
			if ended(e) {
				t.Error("the exchange has ended")
			}
			if rest := readAll(t, resp.Body); !strings.HasSuffix(text(size), rest) || rest == "" {
				t.Errorf("of the rest come %d bytes other than were sent", len(rest))
			}
			wantEnd(t, e, exchange.Reusable)
		})
	}
}

func TestAWriterThatTakesLittleOrTooMuchIsNotTrusted(t *testing.T) {
	for lie, want := range map[int]error{-1: io.ErrShortWrite, +1: errInvalidWrite} {
		for _, size := range []int{100, 100 << 10} {
			with(t, 0, answers(withLength(text(size))), func(t *testing.T, c *Conn) {
				_, _, err := copied(t, c, 0, writerFunc(func(p []byte) (int, error) { return len(p) + lie, nil }))
				if err != want {
					t.Errorf("the error is %v, want %v", err, want)
				}
			})
		}
	}
}

func TestAWriterThatPanicsCostsOnlyTheConnection(t *testing.T) {
	for _, size := range []int{100, 100 << 10} {
		with(t, 0, answers(withLength(text(size))), func(t *testing.T, c *Conn) {
			e := exchangeOn(c, get(t))
			resp := run(t, e)
			func() {
				defer func() {
					if v := recover(); v != errFull {
						t.Errorf("the panic was %v", v)
					}
				}()
				io.Copy(writerFunc(func([]byte) (int, error) { panic(errFull) }), resp.Body)
			}()
			wantEnd(t, e, exchange.EndError)
			resp.Body.Close()
		})
	}
}

// TestATargetThatIsGoneEndsACopyBySystem checks that the connection is closed, because nobody knows which bytes were on
// their way.
func TestATargetThatIsGoneEndsACopyBySystem(t *testing.T) {
	near, far := nettest.TCPPair(t)
	go func() {
		io.CopyN(io.Discard, far, 100<<10) // more than has been read ahead
		far.SetLinger(0)
		far.Close()
	}()
	c := dial(t, httptestutil.NewWire(t, partly(8<<20)))
	e, _, err := copied(t, c, 0, near)
	if err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the error is %v", err)
	}
	wantEnd(t, e, exchange.EndError)
	if _, again := e.resp.Body.Read(make([]byte, 1)); again == nil || again.Error() != err.Error() {
		t.Errorf("reading on returns %v, want %v", again, err)
	}
}

func TestAnEndedBodyHasNothingToCopy(t *testing.T) {
	for to, open := range everyTarget() {
		c, target := dial(t, httptestutil.NewWire(t, httptestutil.Replies(hello))), open(t)
		e := exchangeOn(c, get(t))
		resp := run(t, e)
		wantBody(t, resp, "hello")
		if n, err := io.Copy(target.Writer, resp.Body); n != 0 || err != nil {
			t.Errorf("to %s: at the end %d bytes, %v", to, n, err)
		}
		resp.Body.Close()
		if n, err := io.Copy(target.Writer, resp.Body); n != 0 || err != ErrBodyReadAfterClose {
			t.Errorf("to %s: after the close %d bytes, %v", to, n, err)
		}
	}
}

func TestABodyIsCopiedByOneAtATime(t *testing.T) {
	with(t, 0, answers(length10+"01234"), func(t *testing.T, c *Conn) {
		resp := run(t, exchangeOn(c, get(t)))
		done := make(chan error)
		go func() {
			_, err := io.Copy(onlyWriter{io.Discard}, resp.Body)
			done <- err
		}()
		synctest.Wait()
		if _, err := io.Copy(onlyWriter{io.Discard}, resp.Body); err != errConcurrentRead {
			t.Errorf("a second copy returns %v", err)
		}
		if _, err := resp.Body.Read(make([]byte, 1)); err != errConcurrentRead {
			t.Errorf("a read beside it returns %v", err)
		}
		resp.Body.Close()
		if err := <-done; err != ErrBodyReadAfterClose {
			t.Errorf("the first copy returns %v", err)
		}
	})
}
