package http1

import (
	"errors"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/exchange"
)

// next is what a server does after its answer.
type next int

const (
	keeps  next = iota // answers further requests
	closes             // the connection, in order
	resets             // the connection
)

// wireCase is an answer, byte by byte, and what has to become of it.
type wireCase struct {
	name    string
	method  string              // GET if empty
	ask     func(*http.Request) // changes the request
	proxied bool
	limit   int64 // Options.MaxHeaderBytes
	buffer  int   // Options.ReadBuffer
	answer  string
	then    next

	status int    // 0: there is no response
	body   string // what is read of it, an error or not
	is     error  // without a status, what Run returns; with one, what reading the body returns
	says   string // what the text of the error in the same place contains
	end    exchange.End
	idle   Condition // with Reusable: what a probe finds, in the end
}

// wireCases are all tables of raw answers; the fuzz tests take them as seeds.
var wireCases = slices.Concat(lengthCases, framingCases, chunkedCases, bodilessCases,
	interimCases, persistenceCases, syntaxCases)

// TestRawAnswers plays every case over a socket. A connection that has passed as reusable, and looks
// quiet, must carry another exchange, in step.
func TestRawAnswers(t *testing.T) {
	httptestutil.CheckLeaks(t, ours)
	for i := range wireCases {
		t.Run(wireCases[i].name, wireCases[i].play)
	}
}

const second = ok + "Content-Length: 6\r\n\r\nsecond"

func (c *wireCase) serve(w *httptestutil.WireConn) {
	if w.ReadRequest() == nil || !w.Write(c.answer) {
		return
	}
	switch c.then {
	case keeps:
		httptestutil.Replies(second)(w)
	case closes:
		w.CloseWrite()
		w.WaitClosed()
	case resets:
		w.Reset()
	}
}

func (c *wireCase) request(t *testing.T) *http.Request {
	req := get(t)
	if c.method != "" {
		req.Method = c.method
	}
	if c.ask != nil {
		c.ask(req)
	}
	return req
}

func (c *wireCase) play(t *testing.T) {
	if c.then == resets && runtime.GOOS != "linux" {
		t.Skip("here a reset may overtake the bytes before it")
	}
	conn := dial(t, httptestutil.NewWire(t, c.serve))
	e := exchangeOn(conn, c.request(t))
	e.Opts.Proxied, e.Opts.MaxHeaderBytes, e.Opts.ReadBuffer = c.proxied, c.limit, c.buffer
	resp, err := e.Run()
	switch {
	case err != nil && c.status != 0:
		t.Fatalf("no response: %v", err)
	case err != nil:
		c.wantError(t, err)
		if e.Malformed != (c.says != "") {
			t.Errorf("Malformed is %v", e.Malformed)
		}
	case resp.StatusCode != c.status:
		t.Fatalf("the status is %d, want %d", resp.StatusCode, c.status)
	default:
		c.wantBody(t, resp)
	}
	if started := c.is != io.EOF && (c.answer != "" || c.status != 0); e.Started != started {
		t.Errorf("Started is %v", e.Started)
	}
	wantEnd(t, e, c.end)
	if c.end == exchange.Reusable {
		c.wantIdle(t, conn)
	}
}

func (c *wireCase) wantBody(t *testing.T, resp *http.Response) {
	got, err := io.ReadAll(resp.Body)
	if string(got) != c.body {
		t.Errorf("the body is %q, want %q", got, c.body)
	}
	c.wantError(t, err)
}

func (c *wireCase) wantError(t *testing.T, err error) {
	switch {
	case c.says != "":
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("the error is %v, want one that says %q", err, c.says)
		}
	case !errors.Is(err, c.is):
		t.Errorf("the error is %v, want %v", err, c.is)
	}
}

// wantIdle waits until a probe finds what it should, or runs another exchange if that is nothing.
func (c *wireCase) wantIdle(t *testing.T, conn *Conn) {
	for deadline := time.Now().Add(httptestutil.Bound); c.idle != Quiet; runtime.Gosched() {
		if cond := conn.Probe(); cond == c.idle {
			return
		} else if cond != Quiet || time.Now().After(deadline) {
			t.Fatalf("the probe finds %d, want %d", cond, c.idle)
		}
	}
	if cond := conn.Probe(); cond != Quiet {
		t.Fatalf("the probe finds %d", cond)
	}
	e := exchangeOn(conn, get(t))
	wantBody(t, run(t, e), "second")
	wantEnd(t, e, exchange.Reusable)
}

// TestEveryRawAnswerSaysWhatItWants keeps the cases telling, and apart.
func TestEveryRawAnswerSaysWhatItWants(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range wireCases {
		if seen[c.name] {
			t.Errorf("two cases say that %s", c.name)
		}
		seen[c.name] = true
		fails := c.is != nil || c.says != ""
		if c.status == 0 && !fails || fails != (c.end == exchange.EndError) || c.idle != Quiet && c.end != exchange.Reusable {
			t.Errorf("the case %q contradicts itself", c.name)
		}
	}
}

var reset error = syscall.ECONNRESET

// evil is a whole response that nobody has asked for.
const evil = ok + "Content-Length: 4\r\n\r\nevil"
