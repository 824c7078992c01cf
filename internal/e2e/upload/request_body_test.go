package upload_test

//lint:file-ignore SA1019 programs still use what is deprecated, so it is tested

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
)

// ending is a way in which a request comes to its end while its body is still being sent, a second after it began.
type ending struct {
	serve   func(http.ResponseWriter, *http.Request)     // after a moment of the upload
	arm     func(*peerpool.Transport, *http.Request) any // returns the request to send, or the client to send it with
	receive func(t *testing.T, resp *http.Response)      // nil: there is none
	only    string                                       // the protocol that has it; "": both
	unread  bool                                         // the body is not read from at all
}

// stall reads what comes, and does not answer.
func stall(_ http.ResponseWriter, req *http.Request) { io.Copy(io.Discard, req.Body) }

// answers answers with a part of a body, and reads on.
func answersInPart(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Content-Length", "1000000")
	w.WriteHeader(http.StatusServiceUnavailable)
	io.WriteString(w, "slow down")
	w.(http.Flusher).Flush()
	io.Copy(io.Discard, req.Body)
}

// answersInFull answers, and reads on if the end of the answer does not depend on that.
func answersInFull(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Content-Length", "4")
	w.WriteHeader(http.StatusServiceUnavailable)
	io.WriteString(w, "busy")
	w.(http.Flusher).Flush()
	if req.ProtoMajor == 1 {
		io.Copy(io.Discard, req.Body)
	}
}

func canceledAfter(d time.Duration) func(*peerpool.Transport, *http.Request) any {
	return func(_ *peerpool.Transport, req *http.Request) any {
		ctx, cancel := context.WithCancelCause(req.Context())
		time.AfterFunc(d, func() { cancel(testkit.ErrChangedMind) })
		return req.WithContext(ctx)
	}
}

func readsToTheEnd(t *testing.T, resp *http.Response) { io.Copy(io.Discard, resp.Body) }
func closes(t *testing.T, resp *http.Response)        { resp.Body.Close() }

var endings = map[string]ending{
	"the server resets": {serve: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
	"the server breaks the protocol": {only: "http1", serve: func(w http.ResponseWriter, _ *http.Request) {
		c, _, _ := http.NewResponseController(w).Hijack()
		io.WriteString(c, "SSH-2.0\r\n\r\n")
		io.Copy(io.Discard, c)
		c.Close()
	}},
	"its deadline passes": {serve: stall, arm: func(_ *peerpool.Transport, req *http.Request) any {
		ctx, cancel := context.WithTimeout(req.Context(), time.Second)
		time.AfterFunc(time.Hour, cancel)
		return req.WithContext(ctx)
	}},
	"its context is canceled": {serve: stall, arm: canceledAfter(time.Second)},
	"its Cancel channel is closed": {serve: stall, arm: func(_ *peerpool.Transport, req *http.Request) any {
		cancel := make(chan struct{})
		req.Cancel = cancel
		time.AfterFunc(time.Second, func() { close(cancel) })
		return req
	}},
	"CancelRequest is called": {serve: stall, arm: func(tr *peerpool.Transport, req *http.Request) any {
		time.AfterFunc(time.Second, func() { tr.CancelRequest(req) })
		return req
	}},
	"its client runs out of time": {serve: stall, arm: func(tr *peerpool.Transport, _ *http.Request) any {
		return &http.Client{Transport: tr, Timeout: time.Second}
	}},
	"an early answer is read to its end": {serve: answersInFull, receive: readsToTheEnd},
	"an early answer closes": {serve: func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Connection", "close")
		answersInFull(w, req)
	}, receive: readsToTheEnd},
	"an early answer is closed":     {serve: answersInFull, receive: closes},
	"a part of an answer is closed": {serve: answersInPart, receive: closes},
	"an early answer has no body":   {serve: func(w http.ResponseWriter, req *http.Request) { w.WriteHeader(204) }, receive: readsToTheEnd},
	"an early answer is discarded":  {serve: answersInFull, receive: func(_ *testing.T, resp *http.Response) { peerpool.DiscardConn(resp); resp.Body.Close() }},
	"an answer is closed while it is read": {serve: answersInPart, receive: func(_ *testing.T, resp *http.Response) {
		read := make(chan struct{})
		go func() { defer close(read); io.Copy(io.Discard, resp.Body) }()
		time.Sleep(time.Millisecond)
		resp.Body.Close()
	}},
	"an answer breaks off": {serve: func(w http.ResponseWriter, req *http.Request) {
		answersInPartAndAborts(w, req)
	}, receive: readsToTheEnd},
	"it is canceled as its answer is read": {serve: answersInPart, arm: canceledAfter(2 * time.Second), receive: func(t *testing.T, resp *http.Response) {
		want := testkit.ErrChangedMind
		if resp.ProtoMajor == 2 {
			want = context.Canceled // as with net/http
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != want {
			t.Errorf("reading the response: %v, want %v", err, want)
		}
	}},
	"it is canceled, and its answer closed later": {serve: answersInPart, arm: canceledAfter(2 * time.Second), receive: func(_ *testing.T, resp *http.Response) {
		time.Sleep(3 * time.Second)
		resp.Body.Close()
	}},
	"it is canceled as its answer is closed": {serve: answersInPart, arm: canceledAfter(2 * time.Second), receive: func(_ *testing.T, resp *http.Response) {
		time.Sleep(time.Second)
		resp.Body.Close()
	}},
	"it is upgraded, and closed": {only: "http1", serve: func(w http.ResponseWriter, _ *http.Request) {
		c, rw, _ := http.NewResponseController(w).Hijack()
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello\n")
		io.Copy(io.Discard, rw)
		c.Close()
	}, arm: func(_ *peerpool.Transport, req *http.Request) any {
		return testkit.With(req, "Connection: Upgrade", "Upgrade: echo")
	}, receive: func(t *testing.T, resp *http.Response) {
		if line, err := bufio.NewReader(resp.Body).ReadString('\n'); line != "hello\n" {
			t.Errorf("the upgraded connection says %q, %v", line, err)
		}
		resp.Body.Close()
	}},
	"it expects 100 Continue, and is refused": {serve: answersInFull, unread: true, arm: func(tr *peerpool.Transport, req *http.Request) any {
		tr.ExpectContinueTimeout = time.Hour
		return testkit.With(req, "Expect: 100-continue")
	}, receive: readsToTheEnd},
}

func answersInPartAndAborts(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "1000000")
	w.WriteHeader(http.StatusServiceUnavailable)
	io.WriteString(w, "slow down")
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

// manner is how a body behaves, and what that does to the promise.
type manner struct {
	make   func(release <-chan struct{}) *watchedBody
	blocks bool // a Read may be under way when the caller gets control: only Close ends it, or nothing does
	breaks bool // the body itself fails the request
}

var manners = map[string]manner{
	"takes a moment": {make: func(<-chan struct{}) *watchedBody {
		return &watchedBody{read: kibs(20 * time.Millisecond)}
	}},
	"takes almost too long": {make: func(<-chan struct{}) *watchedBody {
		return &watchedBody{read: kibs(testkit.ReadWait - time.Millisecond)}
	}},
	"blocks until it is closed": {blocks: true, make: func(<-chan struct{}) *watchedBody {
		r, w := io.Pipe()
		go w.Write(make([]byte, 1<<10))
		return &watchedBody{read: r.Read, close: r.Close}
	}},
	"blocks whatever happens": {blocks: true, make: func(release <-chan struct{}) *watchedBody {
		b := new(watchedBody)
		b.read = func(p []byte) (int, error) {
			if b.reads > 1 {
				<-release
			}
			return copy(p, "some"), nil
		}
		return b
	}},
	"panics when it is closed": {make: func(<-chan struct{}) *watchedBody {
		return &watchedBody{read: kibs(20 * time.Millisecond), close: func() error { panic("closed") }}
	}},
	"blocks when it is closed": {make: func(release <-chan struct{}) *watchedBody {
		return &watchedBody{read: kibs(20 * time.Millisecond), close: func() error { <-release; return nil }}
	}},
	"panics when it is read": {breaks: true, make: func(<-chan struct{}) *watchedBody {
		return &watchedBody{read: func([]byte) (int, error) { time.Sleep(time.Second); panic("read") }}
	}},
}

// TestABodyIsItsCallersAgainWhenTheRequestIsOver checks that no Read of the body is under way then, that none begins, and
// that the Transport closes the body after the last Read. If a Read blocks, the caller soon gets control all the same, and
// the Transport calls Close to end that Read.
func TestABodyIsItsCallersAgainWhenTheRequestIsOver(t *testing.T) {
	for _, p := range []protocol{inHTTP1, inHTTP1Takes, inHTTP2} {
		for how, e := range endings {
			for what, kind := range manners {
				if e.only != "" && !strings.HasPrefix(p.name, e.only) {
					continue
				}
				t.Run(p.name+"/"+how+"/"+what, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { kind.play(t, p, e) })
				})
			}
		}
	}
}

func (k manner) play(t *testing.T, p protocol, e ending) {
	tr := p.bubbleServer(t, func(w http.ResponseWriter, req *http.Request) {
		http.NewResponseController(w).EnableFullDuplex() // as if there were another server for HTTP/1.1
		if !e.unread {
			drainUpTo(req, 4)
		}
		time.Sleep(time.Second)
		e.serve(w, req)
	})
	release := make(chan struct{})
	b := k.make(release)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://example.test/", b)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = 1 << 30 // or Go's server reads what there is of it before it gives up
	send := tr.RoundTrip
	if e.arm != nil {
		switch armed := e.arm(tr, req).(type) {
		case *http.Request:
			req = armed
		case *http.Client:
			send = armed.Do
		}
	}
	start := time.Now()
	resp, err := send(req)
	switch {
	case err == nil && e.receive != nil:
		e.receive(t, resp)
	case err == nil:
		t.Errorf("got %s", resp.Status)
	case e.receive != nil && !k.breaks:
		t.Errorf("failed: %v", err)
	}
	pending := b.take()
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("the caller had to wait for %v", took)
	}
	if pending > 0 && !k.blocks {
		t.Error("a Read is under way")
	}
	time.Sleep(time.Minute) // whatever still goes on
	b.mu.Lock()
	if b.late > 0 {
		t.Errorf("%d Reads began after the caller had the body back", b.late)
	}
	if b.closes != 1 {
		t.Errorf("closed %d times", b.closes)
	}
	if b.during && !k.blocks {
		t.Error("closed while a Read was under way")
	}
	if b.reads > 0 && e.unread {
		t.Errorf("read %d times", b.reads)
	}
	b.mu.Unlock()
	close(release)
	if resp != nil {
		resp.Body.Close()
	}
}

// TestABodyThatMayBeEmptyIsItsCallersAgain uses bodies of unknown length. The Transport reads a part of such a body before
// it sends anything.
func TestABodyThatMayBeEmptyIsItsCallersAgain(t *testing.T) {
	for _, p := range []protocol{inHTTP1, inHTTP2} {
		for _, method := range []string{http.MethodGet, http.MethodDelete} {
			for _, after := range []time.Duration{10 * time.Millisecond, time.Second} {
				t.Run(p.name+"/"+method+"/"+after.String(), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						tr := p.bubbleServer(t, stall)
						r, _ := io.Pipe()
						b := &watchedBody{read: r.Read, close: r.Close}
						req := testkit.NewRequest(t, method, "http://example.test/", b)
						start := time.Now()
						_, err := tr.RoundTrip(canceledAfter(after)(tr, req).(*http.Request))
						if err != testkit.ErrChangedMind && err != context.Canceled { // as net/http says it over HTTP/2
							t.Errorf("failed with %v", err)
						}
						if took := time.Since(start); took > after+2*testkit.ReadWait {
							t.Errorf("failed after %v", took)
						}
						b.take()
						time.Sleep(time.Minute)
						if n := b.closings(); b.late > 0 || n != 1 {
							t.Errorf("%d Reads too late, closed %d times", b.late, n)
						}
					})
				})
			}
		}
	}
}
