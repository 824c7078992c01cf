package otelpool_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"go.opentelemetry.io/otel/codes"
)

func TestAWaitThatMaxConnsPerHostHasCausedSaysSo(t *testing.T) {
	for name, c := range map[string]struct {
		done   peerpool.AcquireDone
		reason string
		status codes.Code
		text   string // a part of the status's text
	}{
		"served":    {peerpool.AcquireDone{Miss: "busy", HeldBack: true}, "max_conns", codes.Unset, ""},
		"timed out": {peerpool.AcquireDone{Err: context.DeadlineExceeded, ErrorType: "timeout", HeldBack: true}, "max_conns", codes.Error, "MaxConnsPerHost is reached: context deadline exceeded"},
		"canceled":  {peerpool.AcquireDone{Err: context.Canceled, HeldBack: true}, "max_conns", codes.Unset, ""},
		"its own dial has failed in the end": {
			peerpool.AcquireDone{Err: context.DeadlineExceeded, ErrorType: "timeout", Hop: "connect", HeldBack: true},
			"max_conns", codes.Error, "context deadline exceeded",
		},
		"not held back": {peerpool.AcquireDone{Err: context.DeadlineExceeded, ErrorType: "timeout"}, "", codes.Error, "context deadline exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			l := watch(t, &peerpool.Transport{})
			c.done.Waited = time.Second
			request := l.inSpan(func(ctx context.Context) { l.Observer.AcquireDone(ctx, c.done) })
			wait := l.one("HTTP wait_for_connection")
			if got := value(wait.Attributes, "peerpool.wait.reason"); got != c.reason {
				t.Errorf("the reason of the wait is %q, want %q", got, c.reason)
			}
			if got := value(request.Events[0].Attributes, "peerpool.wait.reason"); got != c.reason {
				t.Errorf("the reason in the span of the request is %q, want %q", got, c.reason)
			}
			says := strings.Contains(wait.Status.Description, "MaxConnsPerHost")
			if wait.Status.Code != c.status || !strings.HasSuffix(wait.Status.Description, c.text) || says != strings.Contains(c.text, "MaxConnsPerHost") {
				t.Errorf("the status is %v, want %v, %q", wait.Status, c.status, c.text)
			}
		})
	}
}

func TestARequestThatFindsBytesOnAnIdleConnectionSaysSo(t *testing.T) {
	l := watch(t, &peerpool.Transport{})
	for _, found := range []bool{true, false} {
		request := l.inSpan(func(ctx context.Context) {
			l.Observer.AcquireDone(ctx, peerpool.AcquireDone{Miss: "stale", UnexpectedData: found})
		})
		place := ""
		for _, e := range request.Events {
			if e.Name == "peerpool.unexpected_data" {
				place += value(e.Attributes, "peerpool.unexpected_data.place")
			}
		}
		if want := map[bool]string{true: "while_idle"}[found]; place != want {
			t.Errorf("the span of the request tells of bytes %q, want %q", place, want)
		}
	}
}

func TestARequestWithBytesBehindItsResponseSaysSo(t *testing.T) {
	wire := httptestutil.NewWire(t, func(c *httptestutil.WireConn) {
		c.ReadRequest()
		c.Write(httptestutil.Response("ok"), httptestutil.Response("planted"))
		c.WaitClosed()
	})
	l := watch(t, &peerpool.Transport{})
	request := l.get(wire.URL())
	var conn string
	for _, e := range request.Events {
		switch e.Name {
		case "peerpool.acquire":
			conn = value(e.Attributes, "peerpool.connection.id")
		case "peerpool.unexpected_data":
			if place, on := value(e.Attributes, "peerpool.unexpected_data.place"), value(e.Attributes, "peerpool.connection.id"); place != "behind_response" || on != conn {
				t.Errorf("the bytes were %q of connection %q, want behind_response of %q", place, on, conn)
			}
			return
		}
	}
	t.Errorf("the span of the request has the events %+v", request.Events)
}
