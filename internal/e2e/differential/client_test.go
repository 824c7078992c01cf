package differential_test

//lint:file-ignore SA1019 x/net/http2's client is what ours is held against

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool"
	"golang.org/x/net/http2"
)

// A client is what a script is run against.
type client struct {
	name string
	make func(*script, *server) roundTripper
}

type roundTripper interface {
	http.RoundTripper
	CloseIdleConnections()
}

func h2c() *http.Protocols {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return p
}

var (
	ours = client{"peerpool", func(s *script, srv *server) roundTripper {
		return &peerpool.Transport{
			DialContext: srv.ln.Dial, Protocols: h2c(), DisableCompression: s.client.noCompression,
			MaxResponseHeaderBytes: s.client.maxHeader, ResponseHeaderTimeout: s.client.headerTimeout,
			ExpectContinueTimeout: s.client.expectTimeout,
			HTTP2:                 &http.HTTP2Config{SendPingTimeout: -1},
		}
	}}
	netHTTP = client{"net/http", func(s *script, srv *server) roundTripper {
		return &http.Transport{
			DialContext: srv.ln.Dial, Protocols: h2c(), DisableCompression: s.client.noCompression,
			MaxResponseHeaderBytes: s.client.maxHeader, ResponseHeaderTimeout: s.client.headerTimeout,
			ExpectContinueTimeout: s.client.expectTimeout,
		}
	}}
	xNet = client{"x/net", func(s *script, srv *server) roundTripper {
		t, err := http2.ConfigureTransports(&http.Transport{
			DisableCompression: s.client.noCompression, ResponseHeaderTimeout: s.client.headerTimeout,
			ExpectContinueTimeout: s.client.expectTimeout,
		})
		if err != nil {
			panic(err)
		}
		t.ConnPool, t.AllowHTTP = nil, true
		t.MaxHeaderListSize = uint32(s.client.maxHeader)
		t.DialTLSContext = func(ctx context.Context, network, addr string, _ *tls.Config) (net.Conn, error) {
			return srv.ln.Dial(ctx, network, addr)
		}
		return t
	}}
)

// patience is how long an exchange may take, by the clock of the bubble.
const patience = 5 * time.Minute

// run runs a script against a client, in a bubble of its own, and returns what came of each exchange. What does not end
// there, goroutines included, is an error.
func run(t *testing.T, s *script, cl client) (results []*outcome, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(s)
		srv.serve()
		rt := cl.make(s, srv)
		ctx, cancel := context.WithCancelCause(context.Background())
		results = make([]*outcome, len(s.exchanges))
		var wg sync.WaitGroup
		for i := range s.exchanges {
			o := &outcome{}
			results[i] = o
			wg.Go(func() { o.exchange(ctx, rt, i, s.exchanges[i]) })
		}
		all := make(chan struct{})
		go func() { wg.Wait(); close(all) }()
		select {
		case <-all:
			time.Sleep(time.Minute) // for what is under way behind the callers
		case <-time.After(patience):
		}
		synctest.Wait()
		srv.judge(results)
		cancel(errPatience)
		rt.CloseIdleConnections()
		srv.stop()
		<-all
		for _, fault := range srv.fault {
			err = errors.Join(err, errors.New("the client is wrong: "+fault))
		}
	})
	return results, err
}

// judge notes what the server saw, when all is over.
func (s *server) judge(results []*outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.mu.Lock()
		if !c.closed && c.window < c.peak/2 {
			s.fault = append(s.fault, fmt.Sprintf("the connection's window was %d and is %d: it has not been given back", c.peak, c.window))
		}
		c.mu.Unlock()
	}
	for i, attempts := range s.seen {
		for _, at := range attempts {
			results[i].seen = append(results[i].seen, *at)
		}
	}
}

// outcome is what came of an exchange.
type outcome struct {
	result
	seen []seen // by the server
}

// result is what the caller has got. Results can be compared.
type result struct {
	head, trailer string // status and fields
	interim       string
	length        int64
	got           string // the body: its size, and whether it is what the server sent
	stage         string // at which it ended
	class, text   string // of the error
	failed        bool   // the body of the request was left open
}

var (
	errOwn      = errors.New("the caller's body failed")
	errPatience = errors.New("it takes too long")
	errUnhappy  = errors.New("the caller has changed its mind")
)

// exchange sends the request and does with the response what its caller does.
func (o *outcome) exchange(ctx context.Context, rt http.RoundTripper, who int, x exchange) {
	time.Sleep(x.at)
	whole := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if x.reading.cancelAt >= 0 {
		defer time.AfterFunc(x.reading.cancelAt, func() { cancel(errUnhappy) }).Stop()
	}
	if x.reading.deadline >= 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, x.reading.deadline)
		defer stop()
	}
	var interim sync.Mutex // guards o.interim
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		Got100Continue: func() { interim.Lock(); defer interim.Unlock(); o.interim += "100 " },
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			interim.Lock()
			defer interim.Unlock()
			o.interim += strconv.Itoa(code) + " " + headerText(http.Header(h)) + " "
			return nil
		},
	})
	req, body := x.request(ctx, who)
	resp, err := rt.RoundTrip(req)
	if err != nil {
		o.stage = "no response"
		o.class, o.text = classOf(err)
	} else {
		o.head = resp.Status + " " + resp.Proto + "\n" + headerText(resp.Header)
		o.length = resp.ContentLength
		o.stage = "body"
		err = o.read(resp, who, x.reading)
		o.class, o.text = classOf(err)
		if resp.Uncompressed {
			o.head += "(uncompressed)"
		}
		if o.stage == "body" && err == nil {
			o.trailer = headerText(resp.Trailer)
		}
	}
	if context.Cause(whole) == errPatience {
		o.class, o.text = "hangs", ""
	}
	time.Sleep(time.Second)
	interim.Lock()
	defer interim.Unlock()
	o.failed = body != nil && !body.isClosed()
}

// read reads the body and closes it.
func (o *outcome) read(resp *http.Response, who int, plan readingPlan) error {
	defer resp.Body.Close()
	var got []byte
	buf := make([]byte, max(1, plan.chunk))
	for plan.closeAfter < 0 || len(got) < plan.closeAfter {
		time.Sleep(plan.pause)
		room := buf
		if plan.closeAfter >= 0 {
			room = buf[:min(len(buf), plan.closeAfter-len(got))]
		}
		n, err := resp.Body.Read(room)
		got = append(got, room[:n]...)
		if err == io.EOF && len(got) == plan.closeAfter {
			break // it may come with the last bytes, or after them
		}
		if err != nil {
			o.got = fmt.Sprintf("%d bytes", len(got))
			if !bytes.Equal(got, pattern(who, 0, len(got))) && !bytes.HasPrefix(zipped(who, 1000), got) {
				o.got += " of something else"
			}
			if err == io.EOF {
				return nil
			}
			return err
		}
	}
	o.stage = "closed early"
	o.got = fmt.Sprintf("%d bytes", len(got))
	return nil
}

func headerText(h http.Header) string {
	var lines []string
	for name, values := range h {
		lines = append(lines, fmt.Sprintf("%s: %.100q", name, values))
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

var streamID = regexp.MustCompile(`stream ID \d+|LastStreamID=\d+`)

// classOf returns the kind of an error, and its text.
func classOf(err error) (class, text string) {
	if err == nil {
		return "", ""
	}
	text = streamID.ReplaceAllString(err.Error(), "stream ID N")
	var stream http2.StreamError
	var netErr net.Error
	switch {
	case errors.Is(err, errOwn):
		class = "the caller's body"
	case errors.Is(err, errUnhappy), errors.Is(err, context.Canceled):
		class = "canceled"
	case errors.Is(err, context.DeadlineExceeded):
		class = "deadline"
	case errors.As(err, &stream):
		class = "stream " + stream.Code.String()
	case errors.As(err, &netErr) && netErr.Timeout():
		class = "timeout"
	case errors.Is(err, io.ErrUnexpectedEOF):
		class = "unexpected EOF"
	case strings.Contains(text, "GOAWAY"):
		class = "GOAWAY"
	case strings.Contains(text, "connection error"), strings.Contains(text, "frame too large"), strings.Contains(text, "client conn is closed"):
		class = "connection"
	default:
		class = "other"
	}
	return class, text
}
