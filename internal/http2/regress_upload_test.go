package http2

import (
	"io"
	"strings"
	"testing"
)

// counted is a body that counts what is done to it.
type counted struct {
	io.Reader
	reads, closes int
}

func (c *counted) Read(p []byte) (int, error) {
	c.reads++
	return c.Reader.Read(p)
}

func (c *counted) Close() error {
	c.closes++
	return nil
}

func TestABodyThatWasClosedUnreadIsLeftAlone(t *testing.T) {
	body := &counted{Reader: strings.NewReader("body")}
	u := &upload{body: body}
	u.Close()
	if n, err := u.Read(make([]byte, 4)); n != 0 || err == nil {
		t.Errorf("read %d bytes, %v", n, err)
	}
	if touched, err := u.outcome(); touched || err != nil || *body != (counted{Reader: body.Reader}) {
		t.Errorf("touched: %v, failed: %v, %d reads, %d closes, want it as it was", touched, err, body.reads, body.closes)
	}
}

func TestABodyThatWasReadIsClosedOnce(t *testing.T) {
	body := &counted{Reader: strings.NewReader("body")}
	u := &upload{body: body}
	u.Read(make([]byte, 4))
	u.Close()
	u.keep()
	u.Close()
	if touched, _ := u.outcome(); !touched || body.closes != 1 {
		t.Errorf("touched: %v, closed %d times", touched, body.closes)
	}
}
