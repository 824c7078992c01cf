package logpool_test

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/peerpool/peerpool"
	"github.com/peerpool/peerpool/logpool"
)

func TestAddressesThatFailAreInTheLog(t *testing.T) {
	log, logger := open(slog.LevelInfo)
	o := logpool.New(logger).Observer()
	for range 5 {
		o.ConnectFailed(t.Context(), peerpool.ConnectFailed{Host: "a.test", Err: errNever, ErrorType: "connection_refused"})
		o.ConnectFailed(t.Context(), peerpool.ConnectFailed{Host: "a.test", Err: errNever, ErrorType: "connection_error", Silent: true})
		o.AddressChange(peerpool.AddressChange{State: peerpool.AddressAvoided, Reason: peerpool.EjectConnect, Failures: 3, Err: errNever})
		o.AddressChange(peerpool.AddressChange{State: peerpool.AddressListed, Ended: true})
	}
	want := []string{
		"INFO connect failed, another address is tried", "INFO connect failed, another address is tried",
		"INFO address left out connect", "INFO address used again",
	}
	if !slices.Equal(log.says(t), want) {
		t.Errorf("the log says %q, want %q", log.says(t), want)
	}
	if causes := []any{log.records(t)[0]["cause"], log.records(t)[1]["cause"]}; causes[0] != "connection_refused" || causes[1] != "silent" {
		t.Errorf("the causes are %v", causes)
	}
}

func TestARequestThatATimeLimitEndsIsLoggedWithTheLimit(t *testing.T) {
	log, logger := open(slog.LevelInfo)
	o := logpool.New(logger).Observer()
	o.RequestDone(t.Context(), peerpool.RequestDone{Err: errNever, ErrorType: "timeout", TimeLimit: peerpool.TimeLimitDial})
	if r := log.records(t)[0]; r["time_limit"] != "dial" {
		t.Errorf("%v does not say which limit", r)
	}
}

func TestWhatTheTransportHasLearnedAndReplacedIsInTheLogOnceInAWhile(t *testing.T) {
	log, logger := open(slog.LevelInfo)
	o := logpool.New(logger).Observer()
	for range 5 {
		o.LimitsChange(peerpool.LimitsChange{LearnedLimits: peerpool.LearnedLimits{IdleTime: 4 * time.Second, Requests: 100}})
		o.DialDone(t.Context(), peerpool.DialDone{Replaces: true})
		o.DialDone(t.Context(), peerpool.DialDone{}) // for a request
		o.RequestDone(t.Context(), peerpool.RequestDone{Err: errNever, ErrorType: "response_ended", OverBudget: true})
	}
	want := []string{
		"INFO limit of a server learned", "INFO connection replaced before it reaches a limit",
		"INFO request not sent again, retry budget used up", "INFO request failed",
	}
	if !slices.Equal(log.says(t), want) {
		t.Errorf("the log says %q, want %q", log.says(t), want)
	}
	if r := log.records(t)[0]; r["requests"] != 100.0 || r["idle_time"] != 4e9 {
		t.Errorf("%v does not say which limits", r)
	}
}

func TestARequestThatFailsOnAConnectionIsLoggedWithWhatBecameOfIt(t *testing.T) {
	log, logger := open(slog.LevelInfo)
	o := logpool.New(logger).Observer()
	o.RequestDone(t.Context(), peerpool.RequestDone{Err: errNever, ErrorType: "response_ended", Close: "error", Reused: true})
	o.RequestDone(t.Context(), peerpool.RequestDone{Err: errNever, ErrorType: "connection_error"}) // had no connection
	records := log.records(t)
	if r := records[0]; r["reused"] != true || r["close"] != "error" {
		t.Errorf("%v does not say what became of the connection", r)
	}
	if r := records[1]; r["reused"] != nil || r["close"] != nil {
		t.Errorf("%v speaks of a connection", r)
	}
}

func TestWarningsOfClosesAreWrittenOnceInAWhileByReason(t *testing.T) {
	log, logger := open(slog.LevelInfo)
	o := logpool.New(logger).Observer()
	for range 50 {
		o.ConnClosed(peerpool.ConnClosed{Reason: "unexpected_data"})
		o.ConnClosed(peerpool.ConnClosed{Reason: "ambiguous_framing"})
	}
	want := []string{
		"WARN server out of step, connection closed unexpected_data", "WARN server out of step, connection closed ambiguous_framing",
	}
	if !slices.Equal(log.says(t), want) {
		t.Errorf("the log says %q, want %q", log.says(t), want)
	}
}
