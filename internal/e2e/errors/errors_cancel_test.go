package errors_test

//lint:file-ignore SA1019 programs still use what is deprecated, so it is tested

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/h2server"
)

// waiting is a request that will wait without end at some stage.
type waiting struct {
	tr      transport
	req     *http.Request
	reached chan struct{} // closed when it waits; nil: from the start
	inBody  bool          // it waits for the rest of the response's body
}

// stages are where a request can wait.
var stages = map[string]func(*performance) waiting{
	"the look-up": func(p *performance) waiting {
		return waiting{tr: p.use(&http.Transport{}), req: p.request(http.MethodGet, "http://silent.test.", nil)}
	},
	"the dial": func(p *performance) waiting {
		return waiting{tr: p.use(&http.Transport{}), req: p.request(http.MethodGet, "http://"+silentAddr(p), nil)}
	},
	"the handshake": func(p *performance) waiting {
		target, reached := p.silent(false, "")
		return waiting{tr: p.use(&http.Transport{}), req: p.request(http.MethodGet, secure(target), nil), reached: reached}
	},
	"the proxy": func(p *performance) waiting {
		target, reached := p.silent(true, "")
		proxy, _ := url.Parse(target)
		tr := p.use(&http.Transport{Proxy: http.ProxyURL(proxy)})
		return waiting{tr: tr, req: p.request(http.MethodGet, "https://example.test", nil), reached: reached}
	},
	"room": func(p *performance) waiting {
		target, reached := p.silent(true, "")
		tr := p.use(&http.Transport{MaxConnsPerHost: 1})
		ctx, cancel := context.WithCancel(p.Context())
		var first sync.WaitGroup
		first.Go(func() {
			if resp, err := tr.RoundTrip(p.request(http.MethodGet, target, nil).WithContext(ctx)); err == nil {
				resp.Body.Close()
			}
		})
		p.Cleanup(func() { cancel(); first.Wait() })
		<-reached
		return waiting{tr: tr, req: p.request(http.MethodGet, target, nil)}
	},
	"the upload": func(p *performance) waiting {
		target, reached := p.silent(false, "")
		return waiting{tr: p.use(&http.Transport{}), req: p.upload(target, 1<<40), reached: reached}
	},
	"the head": func(p *performance) waiting {
		target, reached := p.silent(true, "")
		return waiting{tr: p.use(&http.Transport{}), req: p.request(http.MethodGet, target, nil), reached: reached}
	},
	"the rest of the head": func(p *performance) waiting {
		target, reached := p.silent(true, "HTTP/1.1 200 OK\r\nA: b\r\n")
		return waiting{tr: p.use(&http.Transport{}), req: p.request(http.MethodGet, target, nil), reached: reached}
	},
	"the body": func(p *performance) waiting {
		target, reached := p.silent(true, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome")
		return waiting{tr: p.use(&http.Transport{}), req: p.request(http.MethodGet, target, nil), reached: reached, inBody: true}
	},
	"the chunks": func(p *performance) waiting {
		target, reached := p.silent(true, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nsome")
		return waiting{tr: p.use(&http.Transport{}), req: p.request(http.MethodGet, target, nil), reached: reached, inBody: true}
	},
	"the end of gzip": func(p *performance) waiting {
		target, reached := p.silent(true, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 99\r\n\r\n\x1f\x8b")
		return waiting{tr: p.use(&http.Transport{}), req: p.request(http.MethodGet, target, nil), reached: reached, inBody: true}
	},
	"the head over HTTP/2": func(p *performance) waiting {
		reached := make(chan struct{})
		target := p.frames(func(*h2server.FrameConn, *h2server.FrameRequest) { close(reached) })
		return waiting{tr: p.use(overHTTP2()), req: p.request(http.MethodGet, target, nil), reached: reached}
	},
	"the upload over HTTP/2": func(p *performance) waiting {
		reached := make(chan struct{})
		target := p.frames(func(c *h2server.FrameConn, r *h2server.FrameRequest) { close(reached) })
		return waiting{tr: p.use(overHTTP2()), req: p.upload(target, 1<<40), reached: reached}
	},
	"the body over HTTP/2": func(p *performance) waiting {
		reached := make(chan struct{})
		target := p.frames(func(c *h2server.FrameConn, r *h2server.FrameRequest) {
			c.Head(r.Stream, 200, false)
			c.Data(r.Stream, "some", false)
			close(reached)
		})
		return waiting{tr: p.use(overHTTP2()), req: p.request(http.MethodGet, target, nil), reached: reached, inBody: true}
	},
	"settings over HTTP/2": func(p *performance) waiting {
		w := httptestutil.NewWire(p, func(c *httptestutil.WireConn) { c.WaitClosed() })
		return waiting{tr: p.use(overHTTP2()), req: p.request(http.MethodGet, w.URL(), nil)}
	},
}

// silent returns the URL of a server that reads a request, or only its first bytes, says something, and falls silent.
func (p *performance) silent(whole bool, says string) (target string, reached chan struct{}) {
	reached = make(chan struct{})
	once := sync.OnceFunc(func() { close(reached) })
	return httptestutil.NewWire(p, func(c *httptestutil.WireConn) {
		if whole {
			c.ReadRequest()
		} else {
			_, _ = c.Conn().Read(make([]byte, 100))
		}
		c.Write(says)
		once()
		if whole {
			c.WaitClosed()
		} else {
			c.Stall()
		}
	}).URL(), reached
}

// soon is when a time limit ends that a waiting request runs into.
const soon = 40 * time.Millisecond

// means are the ways to end a request that waits. Each returns the request to send, and the client. If it sets a time
// limit, that is the limit it is given.
var means = map[string]func(*performance, waiting, time.Duration) (*http.Client, *http.Request){
	"its context": func(p *performance, w waiting, _ time.Duration) (*http.Client, *http.Request) {
		ctx, cancel := context.WithCancel(p.Context())
		w.once(cancel)
		return &http.Client{Transport: w.tr}, w.req.WithContext(ctx)
	},
	"its context, with a cause": func(p *performance, w waiting, _ time.Duration) (*http.Client, *http.Request) {
		ctx, cancel := context.WithCancelCause(p.Context())
		w.once(func() { cancel(errOfTheCaller) })
		return &http.Client{Transport: w.tr}, w.req.WithContext(ctx)
	},
	"its deadline": func(p *performance, w waiting, limit time.Duration) (*http.Client, *http.Request) {
		ctx, cancel := context.WithTimeout(p.Context(), limit)
		p.Cleanup(cancel)
		return &http.Client{Transport: w.tr}, w.req.WithContext(ctx)
	},
	"its deadline, with a cause": func(p *performance, w waiting, limit time.Duration) (*http.Client, *http.Request) {
		ctx, cancel := context.WithTimeoutCause(p.Context(), limit, errOfTheCaller)
		p.Cleanup(cancel)
		return &http.Client{Transport: w.tr}, w.req.WithContext(ctx)
	},
	"the client's Timeout": func(_ *performance, w waiting, limit time.Duration) (*http.Client, *http.Request) {
		return &http.Client{Transport: w.tr, Timeout: limit}, w.req
	},
	"its Cancel channel": func(_ *performance, w waiting, _ time.Duration) (*http.Client, *http.Request) {
		c := make(chan struct{})
		w.req.Cancel = c
		w.once(func() { close(c) })
		return &http.Client{Transport: w.tr}, w.req
	},
}

// once calls end when the request waits.
func (w waiting) once(end func()) {
	if w.reached == nil {
		time.AfterFunc(soon, end)
		return
	}
	go func() {
		<-w.reached
		time.Sleep(time.Millisecond) // for the client to take what the server has said: either order is fair
		end()
	}()
}

// ends sends a request that is ended where it waits, and notes how it fails. It returns false, and notes nothing, if a time
// limit has ended the request before it got there.
func (p *performance) ends(w waiting, end func(*performance, waiting, time.Duration) (*http.Client, *http.Request), limit time.Duration) bool {
	reached := w.reached
	if w.inBody { // when the client has the response, and not before
		w.reached = make(chan struct{})
	}
	client, req := end(p, w, limit)
	resp, err := client.Do(req)
	switch {
	case err == nil && w.inBody:
		<-reached
		close(w.reached)
		// What net/http says when it is asked again is another matter.
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		p.fault("reading the body", err)
		return true
	case err != nil && reached != nil && (w.inBody || !closed(reached)):
		return false
	}
	p.outcome(resp, err)
	return true
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestARequestThatIsEndedFailsAsWithNetHTTP(t *testing.T) {
	table := failures{}
	for stage, wait := range stages {
		for how, end := range means {
			table[stage+", ended by "+how] = func(p *performance) {
				limit := soon
				for limit < patience && !p.ends(wait(p), end, limit) {
					limit *= 4
				}
				if limit >= patience {
					p.Error("the request never gets to where it is to wait")
				}
			}
		}
	}
	for name, says := range map[string]string{
		"nothing": "", "an interim head": "HTTP/1.1 103 Early Hints\r\n\r\n", "half a head": "HTTP/1.1 200 OK\r\nA: b\r\n",
	} {
		table["ResponseHeaderTimeout after "+name] = func(p *performance) {
			target, _ := p.silent(true, says)
			p.get(p.use(&http.Transport{ResponseHeaderTimeout: soon}), target)
			p.do(p.use(&http.Transport{ResponseHeaderTimeout: soon}), p.upload(target, 10))
		}
	}
	table["ResponseHeaderTimeout over HTTP/2"] = func(p *performance) {
		config := overHTTP2()
		config.ResponseHeaderTimeout = soon
		p.get(p.use(config), p.frames(func(*h2server.FrameConn, *h2server.FrameRequest) {}))
	}
	table["ResponseHeaderTimeout over HTTP/2 after an interim head"] = func(p *performance) {
		config := overHTTP2()
		config.ResponseHeaderTimeout = soon
		p.get(p.use(config), p.frames(func(c *h2server.FrameConn, r *h2server.FrameRequest) { c.Head(r.Stream, 103, false) }))
	}
	table["CancelRequest"] = func(p *performance) {
		for _, stage := range []string{"the dial", "the head", "the upload", "room"} {
			w := stages[stage](p)
			w.once(func() { w.tr.CancelRequest(w.req) })
			resp, err := w.tr.RoundTrip(w.req)
			p.outcome(resp, err)
		}
	}
	compare(t, table)
}
