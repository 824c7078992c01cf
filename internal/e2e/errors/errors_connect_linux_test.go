package errors_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"reflect"
	"syscall"
	"testing"
	"time"

	"github.com/peerpool/peerpool"
)

// TestAConnectThatTakesTooLongFailsAsOneOfANetDialer compares with a net.Dialer whose time is over before it begins. If the
// time ended during the connect, package net would return one of two errors, depending on which of two timers fires first.
func TestAConnectThatTakesTooLongFailsAsOneOfANetDialer(t *testing.T) {
	addr := silentAddr(t)
	_, want := (&net.Dialer{Deadline: time.Unix(1, 0)}).Dial("tcp", addr)
	for name, dialer := range map[string]*net.Dialer{
		"a time limit":             {Timeout: time.Millisecond},
		"a function on the socket": {Timeout: time.Millisecond, ControlContext: controlNothing},
	} {
		t.Run(name, func(t *testing.T) {
			tr := &peerpool.Transport{Dialer: dialer}
			defer tr.CloseIdleConnections()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr, nil)
			if err != nil {
				t.Fatal(err)
			}
			_, err = tr.RoundTrip(req)
			if err == nil || err.Error() != want.Error() {
				t.Fatalf("got %v, want %v", err, want)
			}
			got, ok := errors.AsType[*net.OpError](err)
			if !ok || !got.Timeout() {
				t.Fatalf("got %#v, want a time-out of a net.OpError", err)
			}
			if dialer.ControlContext != nil {
				return
			}
			if reflect.TypeOf(got.Err) != reflect.TypeOf(want.(*net.OpError).Err) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the error inside is a %T, want a %T", got.Err, want.(*net.OpError).Err)
			}
		})
	}
}

func controlNothing(context.Context, string, string, syscall.RawConn) error { return nil }
