package logpool_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/nettest"
	"github.com/peerpool/peerpool/internal/testkit"
	"github.com/peerpool/peerpool/logpool"
)

// book is a log that can be read.
type book struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (b *book) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// records returns what has been written.
func (b *book) records(t *testing.T) []map[string]any {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []map[string]any
	decoder := json.NewDecoder(bytes.NewReader(b.text.Bytes()))
	for {
		record := map[string]any{}
		err := decoder.Decode(&record)
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, record)
	}
}

// says returns "LEVEL message reason" of each record.
func (b *book) says(t *testing.T) []string {
	t.Helper()
	var lines []string
	for _, r := range b.records(t) {
		reason, _ := r["reason"].(string)
		message := strings.TrimPrefix(r["msg"].(string), "peerpool: ")
		lines = append(lines, strings.TrimSpace(r["level"].(string)+" "+message+" "+reason))
	}
	return lines
}

func open(level slog.Level) (*book, *slog.Logger) {
	b := new(book)
	return b, slog.New(slog.NewJSONHandler(b, &slog.HandlerOptions{Level: level}))
}

func fetch(t *testing.T, rt http.RoundTripper, url string) {
	t.Helper()
	if err := testkit.Fetch(t.Context(), rt, url); err != nil {
		t.Fatal(err)
	}
}

func TestAServerOutOfStepIsAWarning(t *testing.T) {
	wire := httptestutil.NewWire(t, func(c *httptestutil.WireConn) {
		c.ReadRequest()
		c.Write(httptestutil.Response("ok"), httptestutil.Response("stray"))
		c.WaitClosed()
	})
	log, logger := open(slog.LevelInfo)
	fetch(t, &peerpool.Transport{Observer: logpool.New(logger).Observer()}, wire.URL())
	if want := []string{
		"WARN server in quarantine, connections serve one request each behind_response",
		"WARN server out of step, connection closed unexpected_data",
	}; !slices.Equal(log.says(t), want) {
		t.Errorf("%q, want %q", log.says(t), want)
	}
}

func TestARetryAndWhatLedToItAreInformation(t *testing.T) {
	wire := httptestutil.NewWire(t, func(c *httptestutil.WireConn) {
		for n := 0; c.ReadRequest() != nil; n++ {
			if c.Number() == 1 && n == 1 {
				return
			}
			c.Write(httptestutil.Response("ok"))
		}
	})
	log, logger := open(slog.LevelInfo)
	tr := &peerpool.Transport{Observer: logpool.New(logger).Observer()}
	t.Cleanup(tr.CloseIdleConnections)
	fetch(t, tr, wire.URL())
	fetch(t, tr, wire.URL())
	if want := []string{"INFO connection failed error", "INFO request sent again stale"}; !slices.Equal(log.says(t), want) {
		t.Errorf("%q, want %q", log.says(t), want)
	}
	if r := log.records(t)[1]; r["attempt"] != 1.0 || r["error"] == nil || r["identity"] == nil {
		t.Errorf("%v", r)
	}
}

func TestTheRestIsForDebugging(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	resolver := new(httptestutil.Resolver)
	resolver.Set(t, "localhost", "127.0.0.1")
	log, logger := open(slog.LevelDebug)
	tr := &peerpool.Transport{Observer: logpool.New(logger).Observer(), Resolver: resolver}
	fetch(t, tr, strings.Replace(origin.URL(), "127.0.0.1", "localhost", 1))
	tr.CloseIdleConnections()
	want := []string{
		"DEBUG request started", "DEBUG host looked up", "DEBUG dialed", "DEBUG connection acquired",
		"DEBUG attempt done", "DEBUG request ended", "DEBUG connection closed close_idle",
	}
	if !slices.Equal(log.says(t), want) {
		t.Errorf("%q, want %q", log.says(t), want)
	}
}

func TestTheLevelOfACloseIsThatOfItsReason(t *testing.T) {
	log, logger := open(slog.LevelDebug)
	o := logpool.New(logger, logpool.WithRate(-1)).Observer()
	for _, reason := range peerpool.CloseReasons() {
		o.ConnClosed(peerpool.ConnClosed{Reason: reason})
	}
	byLevel := map[any][]string{}
	for _, r := range log.records(t) {
		byLevel[r["level"]] = append(byLevel[r["level"]], r["reason"].(string))
	}
	for level, want := range map[string][]string{
		"WARN": {"ambiguous_framing", "unexpected_data"},
		"INFO": {"drain", "error", "ping_timeout", "protocol", "timeout"},
	} {
		if got := slices.Sorted(slices.Values(byLevel[level])); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", level, got, want)
		}
	}
}

func TestOnlyTheFirstFewOfASecondAreWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, logger := open(slog.LevelInfo)
		o := logpool.New(logger, logpool.WithRate(3)).Observer()
		again := func(n int) {
			for range n {
				o.RequestRetry(t.Context(), peerpool.RequestRetry{Reason: "stale"})
			}
		}
		again(10)
		o.ConnClosed(peerpool.ConnClosed{Reason: "error"}) // has a rate of its own
		if n := len(log.records(t)); n != 4 {
			t.Errorf("%d records, want 3 and 1", n)
		}
		time.Sleep(time.Second)
		again(2)
		records := log.records(t)[4:]
		if len(records) != 2 || records[0]["suppressed"] != 7.0 || records[1]["suppressed"] != nil {
			t.Errorf("%v, want the first to say that 7 are missing", records)
		}
	})
}

func TestANegativeRateWritesAll(t *testing.T) {
	log, logger := open(slog.LevelInfo)
	o := logpool.New(logger, logpool.WithRate(-1)).Observer()
	for range 100 {
		o.RequestRetry(t.Context(), peerpool.RequestRetry{Reason: "stale"})
	}
	if n := len(log.records(t)); n != 100 {
		t.Errorf("%d records", n)
	}
}

func TestNoSecretIsWritten(t *testing.T) {
	const secret = "hunter2"
	log, logger := open(slog.LevelDebug)
	proxy := &url.URL{Scheme: "http", Host: "127.0.0.1:1", User: url.UserPassword("user", secret)}
	tr := &peerpool.Transport{Observer: logpool.New(logger).Observer(), Proxy: http.ProxyURL(proxy)}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://user:"+secret+"@example.test/?key="+secret, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+secret)
	if _, err := tr.RoundTrip(req); err == nil {
		t.Fatal("somebody answered")
	}
	if n := len(log.records(t)); n < 3 {
		t.Errorf("only %d records", n)
	}
	if strings.Contains(log.text.String(), secret) {
		t.Errorf("the log tells: %s", &log.text)
	}
}

func TestNothingIsPreparedForALevelThatIsOff(t *testing.T) {
	_, logger := open(slog.LevelError)
	o := logpool.New(logger).Observer()
	ctx := context.Background()
	allocs := testing.AllocsPerRun(100, func() {
		o.RequestStart(ctx, peerpool.RequestStart{})
		o.AcquireDone(ctx, peerpool.AcquireDone{Err: errNever})
		o.AttemptDone(ctx, peerpool.AttemptDone{})
		o.RequestDone(ctx, peerpool.RequestDone{})
	})
	if allocs > 0 {
		t.Errorf("%v allocations for records that nobody wants", allocs)
	}
}

var errNever = errors.New("not to be asked for its text")

// kinds returns "message error_type" of each record of failures.
func (b *book) kinds(t *testing.T) []string {
	t.Helper()
	var lines []string
	for _, r := range b.records(t) {
		kind, _ := r["error_type"].(string)
		lines = append(lines, strings.TrimSpace(strings.TrimPrefix(r["msg"].(string), "peerpool: ")+" "+kind))
	}
	return lines
}

func TestWhatFailsIsInformation(t *testing.T) {
	silent := httptestutil.NewWire(t, func(c *httptestutil.WireConn) {
		c.ReadRequest()
		c.WaitClosed()
	})
	closes := httptestutil.NewWire(t, func(c *httptestutil.WireConn) { c.ReadRequest() })
	truncates := httptestutil.NewWire(t, func(c *httptestutil.WireConn) {
		c.ReadRequest()
		c.Write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
	})
	secure := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
	for name, c := range map[string]struct {
		url  string
		want []string
	}{
		"refused":             {"http://" + nettest.RefusingAddr(t), []string{"dial failed connection_error", "request failed connection_error"}},
		"unknown host":        {"http://nowhere.test", []string{"look-up failed", "dial failed name_resolution_error", "request failed name_resolution_error"}},
		"untrusted authority": {secure.URL(), []string{"dial failed secure_connection_error", "request failed secure_connection_error"}},
		"no answer":           {closes.URL(), []string{"connection failed", "request failed response_ended"}},
		"answer too late":     {silent.URL(), []string{"connection failed", "request failed timeout"}},
		"truncated":           {truncates.URL(), []string{"connection failed", "response truncated"}},
	} {
		t.Run(name, func(t *testing.T) {
			resolver := new(httptestutil.Resolver)
			resolver.Fail("nowhere.test", &net.DNSError{Err: "no such host", Name: "nowhere.test", IsNotFound: true})
			log, logger := open(slog.LevelInfo)
			tr := &peerpool.Transport{Observer: logpool.New(logger).Observer(), Resolver: resolver}
			if c.url == silent.URL() {
				tr.ResponseHeaderTimeout = time.Millisecond
			}
			defer tr.CloseIdleConnections()
			resp, err := (&http.Client{Transport: tr}).Get(c.url)
			if err == nil {
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
			got := log.kinds(t)
			slices.Sort(got)
			slices.Sort(c.want)
			if !slices.Equal(got, c.want) {
				t.Errorf("the log says %q, want %q", got, c.want)
			}
		})
	}
}

func TestACanceledRequestIsNoFailure(t *testing.T) {
	log, logger := open(slog.LevelInfo)
	o := logpool.New(logger).Observer()
	o.ResolveDone(t.Context(), peerpool.ResolveDone{Err: context.Canceled})
	o.DialDone(t.Context(), peerpool.DialDone{Err: context.Canceled})
	o.RequestDone(t.Context(), peerpool.RequestDone{Err: context.Canceled})
	o.RequestDone(t.Context(), peerpool.RequestDone{Status: 200, Close: "canceled"})
	if said := log.says(t); len(said) != 0 {
		t.Errorf("the log says %q", said)
	}
}

func TestEachKindOfFailureIsWrittenOnceInAWhileWithItsNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, logger := open(slog.LevelInfo)
		o := logpool.New(logger).Observer()
		fail := func(n int, kind peerpool.ErrorType) {
			for range n {
				o.RequestDone(t.Context(), peerpool.RequestDone{Err: errNever, ErrorType: kind})
			}
		}
		wantTimes := func(want ...float64) {
			t.Helper()
			var times []float64
			for _, r := range log.records(t) {
				times = append(times, r["times"].(float64))
			}
			if !slices.Equal(times, want) {
				t.Errorf("the records stand for %v failures, want %v", times, want)
			}
		}
		fail(100, "timeout")
		wantTimes(1)
		fail(100, "response_ended") // another kind
		wantTimes(1, 1)
		time.Sleep(10 * time.Second)
		fail(3, "timeout")
		wantTimes(1, 1, 100)
		time.Sleep(10 * time.Second)
		fail(1, "timeout")
		wantTimes(1, 1, 100, 3)
	})
}

func TestWithANegativeIntervalEveryFailureIsWritten(t *testing.T) {
	log, logger := open(slog.LevelInfo)
	o := logpool.New(logger, logpool.WithInterval(-1)).Observer()
	for range 5 {
		o.RequestDone(t.Context(), peerpool.RequestDone{Err: errNever, ErrorType: "timeout"})
	}
	if n := len(log.records(t)); n != 5 {
		t.Errorf("%d records, want 5", n)
	}
}

func TestADebugLogHasEveryFailure(t *testing.T) {
	log, logger := open(slog.LevelDebug)
	o := logpool.New(logger).Observer()
	for range 3 {
		o.RequestDone(t.Context(), peerpool.RequestDone{Err: errNever, ErrorType: "timeout"})
	}
	if want := []string{"INFO request failed", "DEBUG request ended", "DEBUG request ended"}; !slices.Equal(log.says(t), want) {
		t.Errorf("the log says %q, want %q", log.says(t), want)
	}
}

func TestConnectionsThatFailOrAreDrainedAreWrittenOnceInAWhileByReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, logger := open(slog.LevelInfo)
		o := logpool.New(logger).Observer()
		for range 50 {
			o.ConnClosed(peerpool.ConnClosed{Reason: "error"})
			o.ConnClosed(peerpool.ConnClosed{Reason: "timeout"})
			o.ConnClosed(peerpool.ConnClosed{Reason: "drain"})
		}
		if want := []string{"INFO connection failed error", "INFO connection failed timeout", "INFO connection drained drain"}; !slices.Equal(log.says(t), want) {
			t.Errorf("the log says %q, want %q", log.says(t), want)
		}
		time.Sleep(10 * time.Second)
		o.ConnClosed(peerpool.ConnClosed{Reason: "drain"})
		if records := log.records(t); len(records) != 4 || records[3]["times"] != 50.0 {
			t.Errorf("%v, want one more that stands for 50", records)
		}
	})
}
