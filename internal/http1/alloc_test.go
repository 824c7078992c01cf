package http1

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"testing"
	"unsafe"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/memtest"
)

// exchangeAllocs is what a GET allocates whose response has four fields, as the response before it had: the exchange, which
// holds the response, its body, their state and the values of the header; the map of the header, and the table in it.
const exchangeAllocs = 3

// countable skips a test if allocations cannot be counted: with the race detector, a sync.Pool drops some of its contents.
func countable(t *testing.T) {
	t.Helper()
	info, _ := debug.ReadBuildInfo()
	for _, s := range info.Settings {
		if s.Key == "-race" && s.Value == "true" {
			t.Skip("the race detector allocates too")
		}
	}
}

func wantAllocs(t *testing.T, want float64, f func()) {
	t.Helper()
	got := testing.AllocsPerRun(1000, f)
	t.Logf("%v allocations", got)
	if got > want {
		t.Errorf("%v allocations, want at most %v", got, want)
	}
}

// wantBytes checks how many bytes of the heap a call of f takes.
func wantBytes(t *testing.T, want uint64, f func()) {
	t.Helper()
	got := memtest.BytesPerRun(5000, f)
	t.Logf("%d bytes", got)
	if got > want {
		t.Errorf("%d bytes, want at most %d", got, want)
	}
}

func TestAnExchangeAllocatesLittle(t *testing.T) {
	countable(t)
	c, req, buf := NewConn(newCanned()), get(t), make([]byte, 4096)
	wantAllocs(t, exchangeAllocs, func() { roundTrip(t, c, req, buf) })
}

// exchangeBytes is the number of bytes of these allocations: 320, 48 and 352, and some for a sync.Pool that has dropped its
// contents.
const exchangeBytes = 736

func TestAnExchangeTakesLittleMemory(t *testing.T) {
	countable(t)
	c, req, buf := NewConn(newCanned()), get(t), make([]byte, 4096)
	wantBytes(t, exchangeBytes, func() { roundTrip(t, c, req, buf) })
}

// This holds also if the body does not fit behind the head in the usual buffer.
func TestASmallBodyIsWrittenFromABufferThatIsUsedAgain(t *testing.T) {
	countable(t)
	for _, size := range []int{64, maxAsked, DefaultBufferSize, maxInline} {
		c, buf := NewConn(newCanned()), make([]byte, 4096)
		c.traits |= kernelSocket // it never blocks
		body := strings.NewReader(strings.Repeat("x", size))
		req := request(t, http.MethodPost, "http://example.test/", body)
		wantBytes(t, exchangeBytes+256, func() {
			body.Seek(0, io.SeekStart)
			roundTrip(t, c, req, buf)
		})
	}
}

// TestTheTextOfAHeaderIsNoLongerThanItNeedsToBe counts the bytes that a header allocates for text. Common names, white
// space, and values that are equal to those of the previous head need none.
func TestTheTextOfAHeaderIsNoLongerThanItNeedsToBe(t *testing.T) {
	countable(t)
	const header = 48 + 352 // the map, and the table in it
	for what, c := range map[string]struct {
		heads [2]string // of two fields each, by turns
		text  uint64
	}{
		"two values that change": {[2]string{twoFields("x", "y"), twoFields("y", "x")}, 64},
		"one value that changes": {[2]string{twoFields("x", "y"), twoFields("x", "z")}, 32},
		"values that stay":       {[2]string{twoFields("x", "y"), twoFields("x", "y")}, 0},
	} {
		room, turn := make([]string, fewFields), 0
		heads := [2][]byte{[]byte(ok + c.heads[0]), []byte(ok + c.heads[1])}
		t.Run(what, func(t *testing.T) {
			wantBytes(t, header+c.text, func() {
				received := heads[turn%2]
				turn++
				var h head
				if size, err := h.parse(received, room); err != nil || size != len(received) {
					t.Fatal(size, err)
				}
			})
		})
	}
}

// twoFields are fields of common names and values of 32 bytes each.
func twoFields(first, second string) string {
	return "Date: \t " + strings.Repeat(first, 32) + "\t\r\nServer:" + strings.Repeat(second, 32) + "\r\n\r\n"
}

// heedAllocs is what context.AfterFunc allocates, and the function that it is given.
const heedAllocs = 3

// It costs no goroutine.
func TestAContextThatIsHeededCostsLittle(t *testing.T) {
	countable(t)
	req, cancel := cancelable(get(t))
	defer cancel(nil)
	c, buf := NewConn(newCanned()), make([]byte, 4096)
	wantAllocs(t, exchangeAllocs+heedAllocs, func() { roundTrip(t, c, req, buf) })
}

func TestAContextThatIsHeededLaterCostsNothing(t *testing.T) {
	countable(t)
	req, cancel := cancelable(get(t))
	defer cancel(nil)
	c, buf := NewConn(newCanned()), make([]byte, 4096)
	wantAllocs(t, exchangeAllocs, func() {
		e := &Exchange{Conn: c, Req: req, Owner: noOwner{}, HeedLater: true}
		drain(t, run(t, e).Body, buf)
	})
}

func TestAnIdleConnectionHoldsNoBuffer(t *testing.T) {
	c := NewConn(newCanned())
	roundTrip(t, c, get(t), make([]byte, 4096))
	if c.in != nil || c.readingAhead() != nil {
		t.Error("a buffer is left after the exchange")
	}
}

// tlsProbeAllocs is what crypto/tls allocates to say that a deadline has passed.
const tlsProbeAllocs = 2

// What the connection below allocates does not count.
func TestAProbeAllocatesNothing(t *testing.T) {
	countable(t)
	if !canPeek {
		t.Skip("what an idle connection holds can't be seen here")
	}
	probed(t, httptestutil.Replies(hello), func(t *testing.T, c *Conn) {
		if c.raw == nil {
			t.Skip("a pending read is a goroutine")
		}
		carry(t, c)
		allowed := 0.
		if c.tls() != nil {
			allowed = tlsProbeAllocs
		}
		wantAllocs(t, allowed, func() { wantCondition(t, c, Quiet) })
	})
}

// Both sides of the comparison speak to the same server.
func TestTheBenchmarksMeasureTheSame(t *testing.T) {
	nc := newCanned()
	resp, err := http.ReadResponse(bufio.NewReader(onceAsked{nc}), get(t))
	if err != nil {
		t.Fatal(err)
	}
	want := readAll(t, resp.Body)
	ours := exchangeOn(NewConn(newCanned()), get(t))
	got := run(t, ours)
	if len(got.Header) != 4 || len(resp.Header) != 4 {
		t.Errorf("the response has %d and %d fields", len(got.Header), len(resp.Header))
	}
	wantBody(t, got, want)
}

// onceAsked asks before it is read.
type onceAsked struct{ net.Conn }

func (c onceAsked) Read(p []byte) (int, error) {
	if canned := c.Conn.(*canned); canned.left == "" {
		io.WriteString(canned, "ask")
	}
	return c.Conn.Read(p)
}

// TestAnIdleConnectionIsSmall bounds the size of a Conn, because a program may have very many of them. The object that
// contains a Conn then fits into a size class of the allocator.
func TestAnIdleConnectionIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(Conn{}); size > 72 {
		t.Errorf("a connection takes %d bytes, want at most 72", size)
	}
}
