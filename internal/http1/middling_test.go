package http1

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// scripted is a connection that answers each request with the next of its responses, and notes how much is asked for at
// first, and how often.
type scripted struct {
	*canned
	responses []string
	left      string
	asked     []int
}

func (c *scripted) Write(p []byte) (int, error) {
	c.left, c.responses, c.asked = c.responses[0], c.responses[1:], nil
	return len(p), nil
}

func (c *scripted) Read(p []byte) (int, error) {
	c.asked = append(c.asked, len(p))
	if c.left == "" {
		return 0, io.EOF
	}
	n := copy(p, c.left)
	c.left = c.left[n:]
	return n, nil
}

func ofLength(n int) string {
	return fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", ok, n, strings.Repeat("x", n))
}

// This holds if the answer before on the connection was of middling length too. Any other answer may follow.
func TestAnAnswerOfMiddlingLengthIsReadAtOnce(t *testing.T) {
	const small, large = DefaultBufferSize, largeInput
	chunked := ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nxxxxx\r\n0\r\n\r\n"
	nc := &scripted{canned: newCanned()}
	c := NewConn(nc)
	for i, step := range []struct {
		response string
		length   int
		first    int // bytes asked for at first
		reads    int // 0: any number
	}{
		{ofLength(5), 5, small, 1},
		{ofLength(maxInline), maxInline, small, 0},
		{ofLength(maxInline), maxInline, large, 1},
		{ofLength(5000), 5000, large, 1},
		{ofLength(maxInline + 1), maxInline + 1, large, 0},
		{ofLength(maxInline), maxInline, small, 0},
		{chunked, 5, large, 1},
		{ofLength(5000), 5000, small, 0},
		{ofLength(10), 10, large, 1},
		{ofLength(10), 10, small, 1},
	} {
		nc.responses = append(nc.responses, step.response)
		e := exchangeOn(c, get(t))
		wantBody(t, run(t, e), strings.Repeat("x", step.length))
		wantEnd(t, e, "")
		if nc.asked[0] != step.first || step.reads != 0 && len(nc.asked) != step.reads {
			t.Errorf("answer %d was read by %v bytes, want %d at first, in %d reads", i, nc.asked, step.first, step.reads)
		}
	}
}

// The bytes behind the answer may have been planted.
func TestWhatStandsBehindAnAnswerThatIsReadAtOnceIsSeen(t *testing.T) {
	nc := &scripted{canned: newCanned(), responses: []string{ofLength(8000), ofLength(8000) + hello}}
	c := NewConn(nc)
	for _, want := range []string{"", "unexpected_data"} {
		e := exchangeOn(c, get(t))
		wantBody(t, run(t, e), strings.Repeat("x", 8000))
		if got := string(endOfExchange(t, e)); got != want {
			t.Errorf("the exchange ended with %q, want %q", got, want)
		}
	}
}
