package refusal

import (
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"strings"
	"testing"
)

var errOurs = errors.New("ours")

func TestTheWordsAreThoseOfNetHTTP(t *testing.T) {
	reset := errors.New("reset")
	for _, c := range []struct {
		received string
		end      error
		want     string
	}{
		{"garbage\r\n", nil, `malformed HTTP response "garbage"`},
		{"garbage", nil, `malformed HTTP response "garbage"`},
		{"HTTP/1.1 2x0 OK\r\n", nil, `malformed HTTP status code "2x0"`},
		{"HTTP/1.1 200 OK\r\nA: b\r\n", io.EOF, "unexpected EOF"},
		{"HTTP/1.1 200 OK\r\nA: b\r\n", nil, "ours"},
		{"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n", nil, "ours"},
		{"HTTP/1.1 200 OK\r\n", reset, "reset"},
		{"HTTP/1.1 200 OK\r\n\r\n", nil, "ours"},
	} {
		if err := Of([]byte(c.received), c.end, nil, errOurs); err.Error() != c.want {
			t.Errorf("%q: got %q, want %q", c.received, err, c.want)
		}
	}
}

func TestTheTypeIsThatOfNetHTTP(t *testing.T) {
	if err := Of([]byte("HTTP/1.1 200 OK\r\nno colon\r\n\r\n"), nil, nil, errOurs); !isTextproto(err) {
		t.Errorf("got a %T", err)
	}
	if err := Of([]byte("HTTP/1.1 200 OK\r\n"), io.EOF, nil, errOurs); err != io.ErrUnexpectedEOF {
		t.Errorf("got %v, want io.ErrUnexpectedEOF itself", err)
	}
}

func isTextproto(err error) bool {
	_, ok := err.(textproto.ProtocolError)
	return ok
}

func TestALongTextIsCutOff(t *testing.T) {
	long := strings.Repeat("x", 10000)
	for _, received := range []string{long + "\r\n", "HTTP/1.1 200 OK\r\n" + long + "\r\n\r\n"} {
		err := Of([]byte(received), nil, nil, errOurs)
		if len(err.Error()) != maxText || strings.Contains(received, "HTTP/1.1") != isTextproto(err) {
			t.Errorf("got %T %q", err, err)
		}
	}
}

func TestTooMuchIsNotLookedAt(t *testing.T) {
	if err := Of([]byte(strings.Repeat("x", maxHead+1)), nil, nil, errOurs); err != errOurs {
		t.Errorf("got %v", err)
	}
}

func TestTheMethodOfTheRequestCounts(t *testing.T) {
	two := []byte("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n")
	if err := Of(two, nil, &http.Request{Method: http.MethodHead}, errOurs); err == errOurs {
		t.Error("two lengths were not refused")
	}
}
