package http1

import (
	"bytes"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// fieldsParsed is what a head comes to.
type fieldsParsed struct {
	Header http.Header
	Size   int
	Err    string
}

// parsedWith parses the fields in text, after others in the same memory.
func parsedWith(memory *[batch]fieldLine, text string) (p fieldsParsed) {
	f := fieldParser{b: []byte(text), room: make([]string, fewFields)}
	if err := f.parseWith(memory); err != nil {
		p.Err = err.Error()
	}
	p.Header, p.Size = f.header, f.size
	return p
}

const fourFields = "Date: Mon, 02 Jan 2006 15:04:05 GMT\r\nserver: \texample \r\nX-A: \r\nContent-Length: 5\r\n\r\n"

// Any byte of a head may differ from the head before, be missing, or be new.
func TestALineThatAlmostEqualsTheOneBeforeIsReadAnew(t *testing.T) {
	changed := []string{fourFields}
	for i := range fourFields {
		changed = append(changed, fourFields[:i], fourFields[:i]+fourFields[i+1:])
		for _, b := range []string{" ", "\t", ":", "\r", "\n", "\x00", "\x7f", "\x80", "x", "X", "-"} {
			changed = append(changed, fourFields[:i]+b+fourFields[i+1:], fourFields[:i]+b+fourFields[i:])
		}
	}
	for _, text := range changed {
		want := parsedWith(new([batch]fieldLine), text)
		memory := new([batch]fieldLine)
		parsedWith(memory, fourFields)
		for _, when := range []string{"after another head", "again"} {
			if got := parsedWith(memory, text); !reflect.DeepEqual(got, want) {
				t.Errorf("%q, %s: %+v, want %+v", text, when, got, want)
			}
		}
		if got, want := parsedWith(memory, fourFields), parsedWith(new([batch]fieldLine), fourFields); !reflect.DeepEqual(got, want) {
			t.Errorf("the usual head after %q: %+v, want %+v", text, got, want)
		}
	}
}

// This holds also if a head has more fields than are kept together.
func TestHeadsOfAnyLengthFollowEachOther(t *testing.T) {
	memory := new([batch]fieldLine)
	for _, n := range []int{1, 3, batch, 2, batch + 1, 3*batch + 1, batch - 1, 0, 5} {
		for _, prefix := range []string{"v", "w", "w"} {
			text, want := fields(n, prefix)
			if got := parsedWith(memory, text+"\r\n"); !reflect.DeepEqual(got, fieldsParsed{want, len(text) + 2, ""}) {
				t.Errorf("%d fields: %+v, want %v", n, got, want)
			}
		}
	}
}

// The next response has the same lines. Its header is what the server has sent.
func TestACallerMayChangeAHeader(t *testing.T) {
	c := NewConn(newCanned())
	for range 3 {
		resp := run(t, exchangeOn(c, get(t)))
		if got := resp.Header["Server"]; len(got) != 1 || got[0] != "example" || len(resp.Header) != 4 {
			t.Fatalf("the header is %v", resp.Header)
		}
		resp.Header["Server"][0] = "changed"
		resp.Header["Date"] = append(resp.Header["Date"], "another")
		resp.Header.Set("X-New", "new")
		drain(t, resp.Body, make([]byte, 1024))
	}
}

// Long lines are not remembered. Lines whose strings are parts of a long text are not either.
func TestWhatIsRememberedOfAHeadIsLittle(t *testing.T) {
	long := "X-Long: " + strings.Repeat("x", maxRecent) + "\r\n"
	huge := "X-Huge: " + strings.Repeat("x", maxRecentText) + "\r\n"
	for _, c := range []struct {
		text string
		want []bool // which lines are remembered
	}{
		{"Server: x\r\n" + long + "Date: y\r\n\r\n", []bool{true, false, true}},
		{"Server: x\r\n" + huge + "Date: y\r\n\r\n", []bool{false, false, false}},
	} {
		memory := new([batch]fieldLine)
		parsedWith(memory, fourFields)
		parsedWith(memory, c.text)
		for i, want := range c.want {
			line := bytes.Split([]byte(c.text), crlf)[i]
			if got := memory[i].recentSize > 0; got != want || got && !bytes.HasPrefix(memory[i].recent[:], line) {
				t.Errorf("line %d of %.40q is remembered: %t", i, c.text, got)
			}
		}
	}
}

func TestEveryUsualStatusLineReadsAsOneThatIsNot(t *testing.T) {
	for i, line := range statusLines {
		if line == "" {
			continue
		}
		var usual, other head
		if err := usual.parseStatusLine([]byte(line)); err != nil {
			t.Fatal(err)
		}
		if err := other.parseStatusLine([]byte(line + "!")); err != nil {
			t.Fatal(err)
		}
		other.status = strings.TrimSuffix(other.status, "!")
		if !reflect.DeepEqual(usual, other) || usual.code != 100+i {
			t.Errorf("%q: %+v, want %+v", line, usual, other)
		}
	}
}

func TestAStatusLineThatIsAlmostUsualIsReadByteByByte(t *testing.T) {
	for line, want := range map[string]bool{
		"HTTP/1.1 200 OK": true, "HTTP/1.0 200 OK": true, "HTTP/1.1 200 ok": true, "HTTP/1.1 200": true, "HTTP/1.1 599 ": true,
		"HTTP/1.1 099 OK": false, "HTTP/1.1 2000 OK": false, "HTTP/1.1 /:0 OK": false, "HTTP/1.1 20": false, "HTTP/1.1\xff200 OK": false,
		"HTTP/1.1 \xff\xff\xff OK": false, "HTTP/2.1 200 OK": false, "HTTP/1.1 200 OK\x00": false, "http/1.1 200 OK": false,
	} {
		var h head
		if err := h.parseStatusLine([]byte(line)); (err == nil) != want {
			t.Errorf("%q: %v", line, err)
		}
	}
}
