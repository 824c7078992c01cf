package http1

import (
	"errors"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peerpool/peerpool/internal/exchange"
)

// notebook holds what a trace is told, by more than one goroutine.
type notebook struct {
	mu    sync.Mutex // guards what follows
	notes []string
}

func (n *notebook) note(s string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.notes = append(n.notes, s)
}

// want checks the notes; those of the last n may be in any order.
func (n *notebook) want(t *testing.T, last int, want ...string) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	slices.Sort(n.notes[max(0, len(n.notes)-last):])
	if !slices.Equal(n.notes, want) {
		t.Errorf("the trace is told %q, want %q", n.notes, want)
	}
}

// trace returns a trace that takes notes.
func (n *notebook) trace() *httptrace.ClientTrace {
	note := n.note
	return &httptrace.ClientTrace{
		WroteHeaders:    func() { note("wrote head") },
		Wait100Continue: func() { note("waiting") },
		WroteRequest: func(info httptrace.WroteRequestInfo) {
			if info.Err != nil {
				note("failed")
			} else {
				note("wrote request")
			}
		},
		GotFirstResponseByte: func() { note("first byte") },
		Got100Continue:       func() { note("continue") },
		Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
			note(strconv.Itoa(code) + header.Get("Link"))
			return nil
		},
	}
}

func TestATraceFollowsAnExchange(t *testing.T) {
	with(t, 0, answers(early+hello), func(t *testing.T, c *Conn) {
		var book notebook
		e := exchangeOn(c, get(t))
		e.SetTrace(book.trace())
		wantBody(t, run(t, e), "hello")
		book.want(t, 0, "wrote head", "wrote request", "first byte", "103</style.css>")
	})
}

func TestATraceFollowsAnExchangeThatWaitsForContinue(t *testing.T) {
	with(t, 0, func(p *peer) {
		req := p.head()
		p.say(proceed)
		p.wantRest(req, "hello")
		p.say(hello)
		p.untilClosed()
	}, func(t *testing.T, c *Conn) {
		var book notebook
		e, _ := expecting(t, c)
		e.SetTrace(book.trace())
		wantBody(t, run(t, e), "hello")
		wantEnd(t, e, exchange.Reusable)
		book.want(t, 2, "wrote head", "waiting", "first byte", "continue", "100", "wrote request")
	})
}

func TestATraceHearsOfNoFailureIfTheServerDoesNotWantTheBody(t *testing.T) {
	with(t, 0, func(p *peer) {
		p.head()
		p.say("HTTP/1.1 417 Expectation Failed\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
		p.untilClosed()
	}, func(t *testing.T, c *Conn) {
		var book notebook
		e, _ := expecting(t, c)
		e.SetTrace(book.trace())
		wantBody(t, run(t, e), "no")
		wantEnd(t, e, exchange.EndClose)
		time.Sleep(2 * expectWait) // the upload is over
		book.want(t, 4, "first byte", "waiting", "wrote head", "wrote request")
	})
}

func TestATraceHearsOfAFailureToWrite(t *testing.T) {
	with(t, 0, func(p *peer) { p.untilClosed() }, func(t *testing.T, c *Conn) {
		var book notebook
		e := exchangeOn(NewConn(&mute{c.NetConn(), 0}), get(t))
		e.SetTrace(book.trace())
		runFails(t, e)
		book.want(t, 0, "failed")
	})
}

// If a trace watches interim responses, only an error that the trace returns limits them.
func TestWhoeverWatchesInterimResponsesLimitsThem(t *testing.T) {
	const many = 10 * maxInterim
	enough := errors.New("enough")
	for _, limit := range []int{0, many / 2} {
		with(t, 0, answers(strings.Repeat(early, many)+hello), func(t *testing.T, c *Conn) {
			seen := 0
			e := exchangeOn(c, get(t))
			e.Opts.MaxHeaderBytes = 1000 // far less than all of them together
			e.SetTrace(&httptrace.ClientTrace{Got1xxResponse: func(int, textproto.MIMEHeader) error {
				if seen++; seen == limit {
					return enough
				}
				return nil
			}})
			resp, err := e.Run()
			switch {
			case limit == 0 && (err != nil || seen != many || resp.StatusCode != http.StatusOK):
				t.Errorf("of %d interim responses %d were seen: %v", many, seen, err)
			case limit > 0 && (!errors.Is(err, enough) || seen != limit):
				t.Errorf("after %d interim responses the error is %v", seen, err)
			}
		})
	}
}
