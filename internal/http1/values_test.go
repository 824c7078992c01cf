package http1

import (
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"reflect"
	"strings"
	"testing"
)

// fields is as many header fields as asked for, whose values begin with prefix.
func fields(n int, prefix string) (text string, parsed http.Header) {
	var b strings.Builder
	parsed = make(http.Header)
	for i := range n {
		fmt.Fprintf(&b, "X-%d: %s%d\r\n", i, prefix, i)
		parsed.Set(fmt.Sprintf("X-%d", i), fmt.Sprintf("%s%d", prefix, i))
	}
	return b.String(), parsed
}

func wantHeader(t *testing.T, what string, got, want http.Header) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

func TestAnInterimHeaderStaysAsItWasShown(t *testing.T) {
	for _, n := range []int{1, fewFields, fewFields + 1} {
		first, wantFirst := fields(n, "first")
		second, wantSecond := fields(n, "second")
		last, wantLast := fields(n, "last")
		answer := "HTTP/1.1 103 Early Hints\r\n" + first + "\r\nHTTP/1.1 103 Early Hints\r\n" + second + "\r\n" +
			"HTTP/1.1 204 No Content\r\n" + last + "\r\n"
		with(t, 0, answers(answer), func(t *testing.T, c *Conn) {
			var shown []http.Header
			e := exchangeOn(c, get(t))
			e.SetTrace(&httptrace.ClientTrace{Got1xxResponse: func(_ int, h textproto.MIMEHeader) error {
				shown = append(shown, http.Header(h))
				return nil
			}})
			resp := run(t, e)
			if len(shown) != 2 {
				t.Fatalf("%d interim responses were shown, want 2", len(shown))
			}
			wantHeader(t, "the first interim header", shown[0], wantFirst)
			wantHeader(t, "the second interim header", shown[1], wantSecond)
			wantHeader(t, "the final header", resp.Header, wantLast)
		})
	}
}

func TestAHeaderOutlivesTheExchangesThatFollow(t *testing.T) {
	for _, n := range []int{1, fewFields, fewFields + 1} {
		first, wantFirst := fields(n, "first")
		second, wantSecond := fields(n, "second")
		serve := func(p *peer) {
			p.request()
			p.say("HTTP/1.1 204 No Content\r\n" + first + "\r\n")
			p.request()
			p.say("HTTP/1.1 204 No Content\r\n" + second + "\r\n")
			p.untilClosed()
		}
		with(t, 0, serve, func(t *testing.T, c *Conn) {
			kept := run(t, exchangeOn(c, get(t))).Header
			wantHeader(t, "the second header", run(t, exchangeOn(c, get(t))).Header, wantSecond)
			wantHeader(t, "the first header", kept, wantFirst)
		})
	}
}

// The values of two fields lie side by side in memory.
func TestAddingToAFieldLeavesItsNeighborAlone(t *testing.T) {
	text, want := fields(3, "v")
	with(t, 0, answers("HTTP/1.1 204 No Content\r\n"+text+"\r\n"), func(t *testing.T, c *Conn) {
		got := run(t, exchangeOn(c, get(t))).Header
		for i := range 3 {
			name := fmt.Sprintf("X-%d", i)
			got.Add(name, "more")
			want.Add(name, "more")
		}
		wantHeader(t, "the header", got, want)
	})
}

// The reader skips a look-up only if no name has that length modulo 64.
func TestFieldsWhoseNamesAreAsLongAreToldApart(t *testing.T) {
	const length = len("Content-Length")
	other, far := strings.Repeat("X", length), strings.Repeat("y", length+64)
	head := ok + other + ": 1\r\n" + far + ": 2\r\nContent-Length: 5\r\n" + other + ": 3\r\n" + far + ": 4\r\n\r\n"
	with(t, 0, answers(head+"hello"), func(t *testing.T, c *Conn) {
		resp := run(t, exchangeOn(c, get(t)))
		want := http.Header{"Content-Length": {"5"}}
		for _, field := range [][2]string{{other, "1"}, {far, "2"}, {other, "3"}, {far, "4"}} {
			want.Add(field[0], field[1])
		}
		wantHeader(t, "the header", resp.Header, want)
		wantBody(t, resp, "hello")
	})
}
