package peerpool_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

func TestAFailedDialIsTypedByItsHop(t *testing.T) {
	for op, want := range map[string]string{
		"resolve": "name_resolution_error", "connect": "connection_error",
		"proxy": "proxy_tunnel_error", "tls": "secure_connection_error",
	} {
		if got := (&peerpool.DialError{Op: op, Err: errors.New("no")}).ErrorType(); got != want {
			t.Errorf("%s: %s, want %s", op, got, want)
		}
		if got := (&peerpool.DialError{Op: op, Err: context.DeadlineExceeded}).ErrorType(); got != "timeout" {
			t.Errorf("%s that took too long: %s", op, got)
		}
	}
}

func TestAFailedExchangeIsTypedByWhatCameOfIt(t *testing.T) {
	for answer, want := range map[string]string{
		"":                                       "response_ended",
		"HTTP/1.1 200 OK\r\nContent-":            "response_ended",
		"HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n": "invalid_response",
	} {
		wire := httptestutil.NewWire(t, func(c *httptestutil.WireConn) {
			c.ReadRequest()
			c.Write(answer)
		})
		s := observe(t, &peerpool.Transport{})
		if got := fails[*peerpool.ExchangeError](s, newRequest(t, http.MethodGet, wire.URL(), nil)).ErrorType(); got != want {
			t.Errorf("%q: %s, want %s", answer, got, want)
		}
	}
	for cause, want := range map[error]string{
		context.DeadlineExceeded: "timeout", io.ErrUnexpectedEOF: "response_ended", errors.New("broken pipe"): "connection_error",
	} {
		if got := (&peerpool.ExchangeError{Err: cause}).ErrorType(); got != want {
			t.Errorf("%v: %s, want %s", cause, got, want)
		}
	}
}
