package logpool_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool"
	"github.com/peerpool/peerpool/logpool"
)

func TestRequestsThatMaxConnsPerHostHoldsBackAreInTheLogOnceInAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, logger := open(slog.LevelInfo)
		o := logpool.New(logger).Observer()
		wait := func(host string, waiting int, longest time.Duration) {
			o.AcquireWait(t.Context(), peerpool.AcquireWait{Host: host, MaxConns: 2, Dialing: 1, Waiting: waiting, Longest: longest})
		}
		wait("a.test", 9, time.Hour)
		for n := range 38 {
			wait("a.test", 1+n%7, time.Millisecond)
		}
		wait("b.test", 3, time.Minute)
		o.AcquireDone(t.Context(), peerpool.AcquireDone{Host: "b.test", Miss: "busy", HeldBack: true, Waited: time.Hour})
		o.AcquireDone(t.Context(), peerpool.AcquireDone{Host: "a.test", Miss: "busy", HeldBack: true, Waited: 3 * time.Second})
		time.Sleep(10 * time.Second)
		wait("b.test", 1, 0)
		records := log.records(t)
		if len(records) != 2 || records[0]["waiting"] != 9.0 {
			t.Fatalf("%v, want 2 records, and that 9 wait in the first", records)
		}
		for key, want := range map[string]any{
			"msg":  "peerpool: requests wait for a connection, MaxConnsPerHost is reached",
			"host": "a.test", "max_conns": 2.0, "dialing": 1.0, "waiting": 7.0, "longest": 3e9, "times": 40.0,
		} {
			if records[1][key] != want {
				t.Errorf("%s is %v, want %v", key, records[1][key], want)
			}
		}
	})
}

func TestARequestThatEndsWhileItIsHeldBackIsInTheLog(t *testing.T) {
	log, logger := open(slog.LevelInfo)
	o := logpool.New(logger).Observer()
	for range 3 {
		o.AcquireDone(t.Context(), peerpool.AcquireDone{Err: context.DeadlineExceeded, ErrorType: "timeout", HeldBack: true, Waited: time.Second})
		o.AcquireDone(t.Context(), peerpool.AcquireDone{Err: context.Canceled, HeldBack: true})
		o.AcquireDone(t.Context(), peerpool.AcquireDone{Miss: "busy", HeldBack: true})                                                    // served in the end
		o.AcquireDone(t.Context(), peerpool.AcquireDone{Err: errors.New("refused"), Hop: "connect", ErrorType: "_OTHER", HeldBack: true}) // its own dial has failed in the end
		o.AcquireDone(t.Context(), peerpool.AcquireDone{Err: context.DeadlineExceeded, ErrorType: "timeout"})
	}
	var causes []any
	for _, r := range log.records(t) {
		if r["msg"] != "peerpool: request ended while it waited for a connection, MaxConnsPerHost is reached" || r["error"] == nil {
			t.Errorf("the log says %v", r)
		}
		causes = append(causes, r["cause"])
	}
	if want := []any{"timeout", "canceled"}; !slices.Equal(causes, want) {
		t.Errorf("the causes are %v, want %v", causes, want)
	}
}
