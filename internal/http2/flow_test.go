package http2

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/exchange"
	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const roundTrip = 100 * time.Millisecond

// distant is a server that is far away: it gets the client's frames a round trip late. It answers one request with as many
// bytes as the client allows.
type distant struct {
	framer *xhttp2.Framer

	mu     sync.Mutex // guards the fields below
	cond   sync.Cond
	window int64 // the window of the stream
	most   int64 // the largest window so far
}

func (d *distant) later(f func()) { time.AfterFunc(roundTrip, f) }

// read handles the client's frames until the connection ends.
func (d *distant) read(headers chan<- uint32) {
	for {
		f, err := d.framer.ReadFrame()
		if err != nil {
			return
		}
		switch f := f.(type) {
		case *xhttp2.SettingsFrame:
			if !f.IsAck() {
				d.later(func() { d.write(func() { d.framer.WriteSettingsAck() }) })
			}
		case *xhttp2.WindowUpdateFrame:
			if f.StreamID == 0 {
				continue
			}
			n := int64(f.Increment)
			d.later(func() {
				d.mu.Lock()
				d.window += n
				d.most = max(d.most, d.window)
				d.cond.Broadcast()
				d.mu.Unlock()
			})
		case *xhttp2.HeadersFrame:
			id := f.StreamID
			d.later(func() { headers <- id })
		}
	}
}

func (d *distant) write(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

// serve sends a response of n bytes.
func (d *distant) serve(stream uint32, n int) {
	var block strings.Builder
	hpack.NewEncoder(&block).WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
	d.write(func() {
		d.framer.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: stream, BlockFragment: []byte(block.String()), EndHeaders: true})
	})
	for n > 0 {
		d.mu.Lock()
		for d.window <= 0 {
			d.cond.Wait()
		}
		part := int(min(d.window, 16<<10, int64(n)))
		d.window -= int64(part)
		n -= part
		d.framer.WriteData(stream, n == 0, make([]byte, part))
		d.mu.Unlock()
	}
}

func TestASingleDownloadIsNotHeldUpByItsWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nc, theirs := httptestutil.Pipe(0)
		c, err := New(Config{}).NewConn(t.Context(), nc, Known{})
		if err != nil {
			t.Fatal(err)
		}
		defer theirs.Close()
		defer c.Close()
		d := &distant{framer: xhttp2.NewFramer(theirs, theirs), window: smallWindow}
		d.cond.L = &d.mu
		preface := make([]byte, len(xhttp2.ClientPreface))
		if _, err := io.ReadFull(theirs, preface); err != nil {
			t.Fatal(err)
		}
		d.write(func() { d.framer.WriteSettings() })
		headers := make(chan uint32, 1)
		go d.read(headers)
		time.Sleep(2 * roundTrip) // by now the client has measured the round trip
		const size = 128 << 20
		r := (&bench{Conn: c, t: t}).start(t.Context(), "GET", nil)
		go func() { d.serve(<-headers, size) }()
		<-r.done
		start := time.Now()
		if n, err := io.Copy(io.Discard, r.resp.Body); n != size || err != nil {
			t.Fatalf("%d bytes, %v", n, err)
		}
		// If the windows did not grow, the response would take 2048 round trips. With the largest window it would take 8.
		if took := time.Since(start); took > 25*roundTrip {
			t.Errorf("%v for %d MiB, with windows of up to %d bytes", took, size>>20, d.most)
		}
		r.ended(exchange.Reusable)
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.grown != 0 {
			t.Errorf("%d bytes of windows are still granted", c.grown)
		}
	})
}

func TestAnUnreadResponseHoldsNoMoreThanAWindow(t *testing.T) {
	connTest(t, Config{}, func(b *bench) {
		r, stream := b.headed()
		for range smallWindow / (16 << 10) {
			b.server.Data(stream, strings.Repeat("x", 16<<10), false)
		}
		synctest.Wait()
		b.mu.Lock()
		held := r.buffered
		b.mu.Unlock()
		if held != smallWindow {
			t.Errorf("%d bytes are held, want %d", held, smallWindow)
		}
		other := b.start(b.t.Context(), "GET", nil)
		b.server.Respond(b.request(), 200, "other")
		if body, err := io.ReadAll(other.response().Body); string(body) != "other" || err != nil {
			t.Errorf("%q, %v", body, err)
		}
		r.resp.Body.Close()
		b.server.Data(stream, "x", false) // the server sends it before it gets the reset
		next := b.start(b.t.Context(), "GET", nil)
		b.server.Respond(b.request(), 204, "")
		next.ended(exchange.Reusable)
	})
}

func TestTheConnectionsWindowOutlivesResponsesThatNobodyReads(t *testing.T) {
	for name, config := range map[string]Config{
		"as it is": {},
		"bounded":  {HTTP2: &http.HTTP2Config{MaxReceiveBufferPerConnection: 1 << 17}},
	} {
		t.Run(name, func(t *testing.T) {
			connTest(t, config, func(b *bench) {
				b.server.Settings()
				for range 100 { // together many times the window
					r := b.start(b.t.Context(), "GET", nil)
					stream := b.request()
					b.server.Head(stream, 200, false)
					<-r.done
					b.server.Data(stream, strings.Repeat("x", 16<<10), false)
					b.server.Raw(xhttp2.FrameData, xhttp2.FlagDataPadded, stream, append([]byte{200}, make([]byte, 1000+200)...))
					synctest.Wait()
					r.resp.Body.Close()
					b.server.Data(stream, strings.Repeat("y", 16<<10), true)
				}
				synctest.Wait()
				b.mu.Lock()
				defer b.mu.Unlock()
				if w := b.unread; w.held != 0 || w.left < w.size/2 || b.failed != nil {
					t.Errorf("%+v, %v", w, b.failed)
				}
			})
		})
	}
}

func TestABoundOnTheConnectionHoldsForAllItsStreams(t *testing.T) {
	const bound = 1 << 17
	connTest(t, Config{HTTP2: &http.HTTP2Config{MaxReceiveBufferPerConnection: bound}}, func(b *bench) {
		b.server.Settings()
		sent := 0
		for range 4 {
			r := b.start(b.t.Context(), "GET", nil)
			stream := b.request()
			b.server.Head(stream, 200, false)
			<-r.done
			for range 4 {
				if sent += 16 << 10; sent <= bound+initialWindow {
					b.server.Data(stream, strings.Repeat("x", 16<<10), false)
				}
			}
		}
		synctest.Wait()
		b.mu.Lock()
		failed := b.failed
		b.mu.Unlock()
		if failed != nil {
			t.Errorf("within the bound: %v", failed)
		}
		b.server.Data(7, strings.Repeat("x", 16<<10), false)
		synctest.Wait()
		b.mu.Lock()
		failed = b.failed
		b.mu.Unlock()
		if failed != xhttp2.ConnectionError(xhttp2.ErrCodeFlowControl) {
			t.Errorf("beyond it: %v", failed)
		}
	})
}

func TestAWindowThatBecomesNegativeStopsAnUploadUntilItIsPositive(t *testing.T) {
	connTest(t, Config{}, func(b *bench) {
		b.server.Settings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 10})
		synctest.Wait()
		r := b.start(b.t.Context(), "POST", struct{ io.Reader }{strings.NewReader(strings.Repeat("x", 25))})
		stream := b.request()
		if f := b.server.Await(xhttp2.FrameData, stream); len(f.Data) != 10 {
			t.Fatalf("%d bytes", len(f.Data))
		}
		// FrameConn has opened the window again. The new setting takes all of that away, and more.
		b.server.Settings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 0})
		b.server.Window(stream, 10)
		body, whole := b.server.ReadBody(stream)
		if !whole || len(body) != 25 {
			t.Errorf("%d bytes, %v", len(body), whole)
		}
		b.server.Respond(stream, 204, "")
		r.ended(exchange.Reusable)
	})
}

func TestWindowsGrowOnlyAsFarAsAConnectionMayHold(t *testing.T) {
	connTest(t, Config{}, func(b *bench) {
		r, _ := b.headed()
		b.mu.Lock()
		b.peer.roundTrip = int64(time.Hour) // every window limits the server
		b.grown = maxGrown - 100
		r.unread = recvWindow{size: smallWindow, left: smallWindow - 60000, held: 60000}
		r.growth.since = 1
		r.readLocked(60000)
		if b.grown != maxGrown || r.unread.size != smallWindow+100 {
			t.Errorf("%d bytes granted, a window of %d", b.grown, r.unread.size)
		}
		b.grown, r.grown = 0, 0
		b.mu.Unlock()
		r.resp.Body.Close()
	})
}
