// Package http2_test holds the Transport's HTTP/2 against servers that are played frame by frame, through its public
// API alone: beside other clients on random scripts, on arbitrary bytes, and against servers that mean harm.
package differential_test

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/net/http2"
)

// A script is all that happens in one run: what each request is and when it is sent, what its caller does, and what the
// server sends. It is made of plain values, so that it can be printed, made smaller, and run against any client.
type script struct {
	server    serverPlan
	client    clientPlan
	exchanges []exchange
}

// serverPlan is what a server says at the beginning of each connection, and how it gives back windows.
type serverPlan struct {
	settings    []http2.Setting
	late        time.Duration // before it says anything
	connWindow  uint32        // added to the connection's window at once
	refillAfter time.Duration // before the window that DATA took is given back
	pingEvery   time.Duration // 0: never
}

// clientPlan is the configuration of the client.
type clientPlan struct {
	maxHeader     int64 // MaxResponseHeaderBytes; 0: the default
	noCompression bool
	headerTimeout time.Duration // ResponseHeaderTimeout; 0: none
	expectTimeout time.Duration // ExpectContinueTimeout
}

// An exchange is one request and its answer.
type exchange struct {
	at      time.Duration // when it is sent
	method  string
	fields  []string // "Name: value"
	body    bodyPlan
	expect  bool // Expect: 100-continue
	reading readingPlan
	steps   []step // of the server, from the moment that it has the request
}

type bodyKind int

const (
	noBody       bodyKind = iota
	memoryBody            // *bytes.Reader: its length is known, and it can be had again
	streamedBody          // its length is not known
	declaredBody          // streamed, with its length told
	failingBody           // ends with an error of the caller
	shortBody             // ends before its declared length
	longBody              // goes on beyond its declared length
)

func (k bodyKind) String() string {
	return [...]string{"no", "memory", "streamed", "declared", "failing", "short", "long"}[k]
}

// bodyPlan is a request's body.
type bodyPlan struct {
	kind    bodyKind
	size    int
	chunk   int           // of one Read
	pause   time.Duration // before each Read, except one of a memoryBody
	trailer bool          // a trailer follows
}

// readingPlan is what a caller does with the response, and when the caller loses patience. A negative number means that
// it doesn't apply.
type readingPlan struct {
	chunk      int           // of one Read
	pause      time.Duration // before each Read
	closeAfter int           // bytes
	cancelAt   time.Duration // after the request was sent
	deadline   time.Duration // of the context, likewise
}

const maxWindow = 1<<31 - 1 // RFC 9113 section 6.9.1

// A step is something that the server sends, or waits for.
type step struct {
	after  time.Duration // the pause before it
	verb   string        // see verbs
	n      int           // bytes of DATA, a status, a code, a window's increment
	pad    int           // bytes of padding
	end    bool          // END_STREAM
	fields []string
	set    []http2.Setting // of verb "settings"
	cuts   []cut           // where its bytes are torn into segments
}

// A cut ends a segment.
type cut struct {
	permille int           // where, of the length
	pause    time.Duration // before the rest is sent
}

// has reports whether the script has such a step.
func (s *script) has(verb string, n int) bool {
	for _, x := range s.exchanges {
		for _, st := range x.steps {
			if st.verb == verb && st.n == n {
				return true
			}
		}
	}
	return false
}

func (s *script) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "server: settings %v after %v, window +%d, refills after %v, pings every %v\n",
		s.server.settings, s.server.late, s.server.connWindow, s.server.refillAfter, s.server.pingEvery)
	fmt.Fprintf(&b, "client: %+v\n", s.client)
	for i, x := range s.exchanges {
		fmt.Fprintf(&b, "%d: at %v %s %q, %v body %d/%d/%v trailer %v, expect %v, reads %+v\n", i, x.at, x.method, x.fields,
			x.body.kind, x.body.size, x.body.chunk, x.body.pause, x.body.trailer, x.expect, x.reading)
		for _, st := range x.steps {
			fmt.Fprintf(&b, "   %v\n", st)
		}
	}
	return b.String()
}

func (st step) String() string {
	text := fmt.Sprintf("%-9s %s n=%d", st.after, st.verb, st.n)
	if st.pad > 0 {
		text += fmt.Sprintf(" pad=%d", st.pad)
	}
	if st.end {
		text += " END"
	}
	if len(st.fields) > 0 {
		text += fmt.Sprintf(" %.200q", st.fields)
	}
	if len(st.set) > 0 {
		text += fmt.Sprintf(" %v", st.set)
	}
	if len(st.cuts) > 0 {
		text += fmt.Sprintf(" cuts=%v", st.cuts)
	}
	return text
}
