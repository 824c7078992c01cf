package differential_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool"
	"github.com/peerpool/peerpool/internal/memtest"
	"github.com/peerpool/peerpool/internal/testkit"
	"golang.org/x/net/http2"
)

// The windows grow with the product of bandwidth and delay: one download over 100 ms of round trip comes to use nearly
// all of a link of 50 MB/s.
func TestADownloadOverALongWayReachesTheRateOfItsLink(t *testing.T) {
	const (
		roundTrip = 100 * time.Millisecond
		rate      = 50 << 20 // bytes a second
		size      = 400 << 20
	)
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		got := make(chan time.Duration)
		go func() {
			start := time.Now()
			n, err := get(h, "x")
			if n != size || err != nil {
				h.T.Errorf("%d bytes, %v", n, err)
			}
			got <- time.Since(start)
		}()
		c := h.Welcome()
		s := send(c, roundTrip) // all of the delay is on the way to the server
		s.data(s.next(), size, rate, true)
		took := <-got
		ideal := size * time.Second / rate
		t.Logf("%v, the link alone %v", took, ideal)
		if took > ideal*5/4 {
			t.Errorf("it took %v, the link alone would %v", took, ideal)
		}
	})
}

// get reads all of a response and returns its size.
func get(h *testkit.Framed, path string) (int64, error) {
	resp, err := h.RoundTrip(h.Request("GET", path, nil))
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	return io.Copy(io.Discard, resp.Body)
}

// unreadBound is how many bytes of a response that nobody reads a server may send.
const unreadBound = 64 << 10

// Responses that nobody reads hold a bounded amount each, and none of them holds up another.
func TestAThousandUnreadResponsesHoldLittleAndStopNobody(t *testing.T) {
	const streams = 1000
	testkit.FrameTestOver(t, 256<<10, &peerpool.Transport{MaxConnsPerHost: 1}, func(h *testkit.Framed) {
		before := memtest.HeapInUse()
		bodies := make(chan io.ReadCloser, streams)
		open := func() {
			resp, err := h.RoundTrip(h.Request("GET", "", nil))
			if err != nil {
				h.T.Error(err)
				bodies <- http.NoBody
				return
			}
			bodies <- resp.Body
		}
		go open()
		c := h.Accept()
		s := send(c, 0)
		c.MaxStreams(2 * streams)
		first := s.next()
		synctest.Wait()
		for range streams - 1 {
			go open()
		}
		sent := make(chan int, streams)
		push := func(id uint32) {
			n, _ := s.data(id, 3<<20, 0, true)
			sent <- n
		}
		go push(first)
		for range streams - 1 {
			go push(s.next())
		}
		synctest.Wait()
		if held := memtest.HeapInUse() - before; held > streams*(unreadBound+16<<10)+maxPoolSlack {
			t.Errorf("%d bytes are held for %d responses", held, streams)
		}
		for id := range uint32(streams) {
			if left := s.window(2*id + 1); left > 0 {
				t.Fatalf("stream %d: the server has %d bytes of its window left: the connection's stops it (%d)", 2*id+1, left, s.window(0))
			}
		}
		// One that is read is not held up by the others.
		read := make(chan int64)
		go func() {
			n, err := get(h, "read")
			if err != nil {
				h.T.Error(err)
			}
			read <- n
		}()
		s.data(s.next(), 3<<20, 0, true)
		if n := <-read; n != 3<<20 {
			t.Errorf("%d bytes", n)
		}
		for range streams {
			(<-bodies).Close()
		}
		for range streams {
			if n := <-sent; n > unreadBound {
				t.Errorf("the server could send %d bytes of a response that nobody reads", n)
			}
		}
	})
}

// maxPoolSlack allows for buffers that nobody uses at the moment.
const maxPoolSlack = 4 << 20

// Responses that are given up, and those that nobody reads, give the connection's window back.
func TestAbandonedAndUnreadResponsesStopNoOther(t *testing.T) {
	const abandoned, unread, size = 60, 40, 3 << 20
	testkit.FrameTest(t, &peerpool.Transport{MaxConnsPerHost: 1}, func(h *testkit.Framed) {
		bodies := make(chan io.ReadCloser, abandoned+unread)
		open := func(abandon bool) {
			resp, err := h.RoundTrip(h.Request("GET", "", nil))
			if err != nil {
				h.T.Error(err)
				return
			}
			if abandon {
				resp.Body.Read(make([]byte, 100))
				resp.Body.Close()
				return
			}
			bodies <- resp.Body
		}
		go open(true)
		c := h.Accept()
		s := send(c, 0)
		c.MaxStreams(1000)
		go s.data(s.next(), size, 0, true)
		synctest.Wait()
		for i := 1; i < abandoned+unread; i++ {
			go open(i < abandoned)
			go s.data(s.next(), size, 0, true)
		}
		synctest.Wait()
		for range 3 {
			read := make(chan int64)
			go func() {
				n, err := get(h, "read")
				if err != nil {
					h.T.Error(err)
				}
				read <- n
			}()
			s.data(s.next(), size, 0, true)
			if n := <-read; n != size {
				t.Errorf("%d bytes", n)
			}
		}
		for range unread {
			(<-bodies).Close()
		}
		synctest.Wait()
		if h.Ln.Dials() != 1 {
			t.Errorf("%d connections", h.Ln.Dials())
		}
	})
}

// Data on streams that have ended gives the connection's window back. The test sends more of it than the window holds, for
// callers that bound the window and for those that do not.
func TestWhatNobodyWantsGivesTheConnectionsWindowBack(t *testing.T) {
	for name, window := range map[string]int{"bounded": 1 << 20, "by default": 1 << 30} {
		t.Run(name, func(t *testing.T) {
			if window > 1<<20 && testing.Short() {
				t.Skip("it sends more than a GiB")
			}
			tr := &peerpool.Transport{}
			if window == 1<<20 {
				tr.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerConnection: window}
			}
			testkit.FrameTestOver(t, 1<<20, tr, func(h *testkit.Framed) {
				abandon := make(chan bool)
				go func() {
					resp, err := h.RoundTrip(h.Request("GET", "", nil))
					if err != nil {
						h.T.Error(err)
					} else {
						resp.Body.Close()
					}
					close(abandon)
				}()
				c := h.Welcome()
				s := send(c, 0)
				stream := s.next()
				<-abandon
				synctest.Wait()
				for sent := 0; sent < window+window/8; sent += len(aFrame) {
					s.mu.Lock()
					for s.conn < int64(len(aFrame)) && !s.gone {
						if !waits(&s.changed) {
							h.T.Fatalf("the connection's window is %d after %d bytes that nobody wants", s.conn, sent)
						}
					}
					s.conn -= int64(len(aFrame))
					s.mu.Unlock()
					c.Data(stream, aFrame, false)
				}
				if s.gone {
					h.T.Error("the connection has ended")
				}
			})
		})
	}
}

// waits waits for a change, for no longer than a minute of the bubble's time, and reports whether there was one.
func waits(changed *sync.Cond) bool {
	late := false
	defer time.AfterFunc(time.Minute, func() {
		changed.L.Lock()
		late = true
		changed.Broadcast()
		changed.L.Unlock()
	}).Stop()
	changed.Wait()
	return !late
}

// A server may make the windows of the uploads under way smaller than what it has received: they wait until it has
// given back more than that.
func TestUploadsWaitWhileTheirWindowsAreNegative(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		const size = 200_000
		call := h.Start(h.Request("POST", "up", strings.NewReader(strings.Repeat("u", size))))
		c := h.Welcome()
		got := 0
		var stream uint32
		// Read without giving windows back.
		framer := http2.NewFramer(c.Nc, c.Nc)
		if _, err := io.ReadFull(c.Nc, make([]byte, len(http2.ClientPreface))); err != nil {
			t.Fatal(err)
		}
		frames := make(chan int, 1000)
		go func() {
			defer close(frames)
			for {
				f, err := framer.ReadFrame()
				if err != nil {
					return
				}
				switch f := f.(type) {
				case *http2.HeadersFrame:
					stream = f.StreamID
				case *http2.DataFrame:
					frames <- len(f.Data())
				}
			}
		}()
		drain := func() {
			synctest.Wait()
			for len(frames) > 0 {
				got += <-frames
			}
		}
		want := func(n int) {
			h.T.Helper()
			if drain(); got != n {
				h.T.Fatalf("%d bytes have come, want %d", got, n)
			}
		}
		want(65535)
		c.Settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1000}) // the stream's window is -64535 now
		c.Window(0, 1<<20)
		want(65535)
		c.Window(stream, 64535)
		want(65535)
		c.Window(stream, 1)
		want(65536)
		c.Settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1001})
		want(65537)
		c.Settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}) // -1001
		c.Window(stream, 1000)
		want(65537)
		c.Window(stream, 1<<20)
		want(size)
		c.Respond(stream, 200, "thanks")
		call.Gets("thanks")
	})
}

// Request and response may go on beside each other, each waiting for the other.
func TestRequestAndResponseGoOnBesideEachOther(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		r, w := io.Pipe()
		req, err := http.NewRequestWithContext(h.T.Context(), "POST", "http://example.test/", r)
		if err != nil {
			t.Fatal(err)
		}
		got := make(chan *http.Response)
		go func() {
			resp, err := h.RoundTrip(req)
			if err != nil {
				h.T.Error(err)
			}
			got <- resp
		}()
		c := h.Welcome()
		stream := c.Request().Stream
		c.Head(stream, 200, false)
		resp := <-got
		buf := make([]byte, 100)
		for i := range 100 {
			word := fmt.Sprintf("word %d", i)
			go io.WriteString(w, word)
			f := c.Await(http2.FrameData, stream)
			if f == nil || string(f.Data) != word {
				t.Fatalf("%+v", f)
			}
			c.Data(stream, word+" back", false)
			n, err := resp.Body.Read(buf)
			if err != nil || string(buf[:n]) != word+" back" {
				t.Fatalf("%q, %v", buf[:n], err)
			}
		}
		w.Close()
		if f := c.Await(http2.FrameData, stream); f == nil || !f.End {
			t.Errorf("%+v", f)
		}
		c.Data(stream, "", true)
		if n, err := resp.Body.Read(buf); n != 0 || err != io.EOF {
			t.Errorf("%d, %v", n, err)
		}
		resp.Body.Close()
	})
}
