package peerpool_test

import (
	"context"
	"errors"

	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

var errBroken = errors.New("the body is broken")

// readerFunc makes a reader out of a function.
type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// panicky is a body that panics when it is read, or when it is closed.
type panicky struct {
	io.Reader
	close bool
}

func (p panicky) Read(b []byte) (int, error) {
	if !p.close {
		panic("cannot be read")
	}
	return p.Reader.Read(b)
}

func (p panicky) Close() error {
	if p.close {
		panic("cannot be closed")
	}
	return nil
}

// lies are bodies that are not what their requests say, after some honest bytes or none.
var lies = []struct {
	name   string
	body   func() io.Reader
	length int64
	text   string
	is     error
	whole  bool // what the server gets looks like a whole request, and it may be faster than the truth
}{
	{"fails at once", func() io.Reader { return failing(0) }, -1, errBroken.Error(), errBroken, false},
	{"fails in the middle", func() io.Reader { return failing(1 << 20) }, -1, errBroken.Error(), errBroken, false},
	{"fails in the middle of its length", func() io.Reader { return failing(1 << 20) }, 2 << 20, errBroken.Error(), errBroken, false},
	{"is longer than said", func() io.Reader { return sized(100_001) }, 100_000, broken + "http: ContentLength=100000 with Body length 100001", nil, true},
	{"is shorter than said", func() io.Reader { return sized(99_999) }, 100_000, broken + "http: ContentLength=100000 with Body length 99999", nil, false},
	{"is shorter than said, and small", func() io.Reader { return strings.NewReader("abc") }, 4, "http: ContentLength=4 with Body length 3", nil, false},
	{"is longer than said, and small", func() io.Reader { return strings.NewReader("abc") }, 2, "http: ContentLength=2 with Body length 3", nil, false},
	{"panics", func() io.Reader { return panicky{} }, -1, "peerpool: request body panicked: cannot be read", nil, false},
	{"panics at its end", func() io.Reader { return io.MultiReader(sized(1<<20), panicky{}) }, -1,
		"peerpool: request body panicked: cannot be read", nil, false},
}

func failing(after int64) io.Reader {
	return io.MultiReader(sized(after), readerFunc(func([]byte) (int, error) { return 0, errBroken }))
}

func sized(n int64) io.Reader { return io.LimitReader(zeros{}, n) }

func TestABodyThatLiesFailsItsRequestAlone(t *testing.T) {
	for _, lie := range lies {
		t.Run(lie.name, func(t *testing.T) {
			httptestutil.CheckLeaks(t)
			// The server answers when it has the whole request, which never comes.
			wire := httptestutil.NewWire(t, httptestutil.Replies(ok))
			s := observe(t, &peerpool.Transport{})
			s.get(wire.URL())
			inner := lie.body()
			body := trackBody(inner)
			req := newRequest(t, http.MethodPut, wire.URL(), body)
			if _, small := inner.(*strings.Reader); small {
				req.Body = io.NopCloser(inner)
				body.Close()
			}
			req.ContentLength = lie.length
			resp, err := s.RoundTrip(req)
			switch {
			case err == nil && lie.whole:
				readBody(t, resp)
			case err == nil:
				t.Fatalf("got %s", resp.Status)
			case !strings.HasSuffix(err.Error(), lie.text) || lie.is != nil && !errors.Is(err, lie.is):
				t.Errorf("got %v, want %s", err, lie.text)
			}
			body.wantClosed(t)
			s.events.wantRetries(t)
			s.get(wire.URL())
		})
	}
}

func TestABodyThatPanicsWhenClosedHasBeenSent(t *testing.T) {
	httptestutil.CheckLeaks(t)
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Handler: http.HandlerFunc(digest)})
	s := observe(t, &peerpool.Transport{})
	req := newRequest(t, http.MethodPost, origin.URL(), panicky{strings.NewReader("body"), true})
	resp, err := s.RoundTrip(req)
	if err == nil {
		resp.Body.Close()
	} else if want := "peerpool: request body panicked: cannot be closed"; err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	s.get(origin.URL())
}

func TestABlockedBodyHoldsUpNobodyElse(t *testing.T) {
	httptestutil.CheckLeaks(t)
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	s := observe(t, &peerpool.Transport{})
	ctx, cancel := context.WithCancelCause(t.Context())
	body := newHeldBody(never{})
	ended := make(chan error, 1)
	go func() {
		_, err := s.RoundTrip(newRequest(t, http.MethodPost, origin.URL(), body).WithContext(ctx))
		ended <- err
	}()
	origin.WaitRequests(1)
	for range 10 {
		s.get(origin.URL())
	}
	cancel(errChangedMind)
	if err := <-ended; err != errChangedMind {
		t.Errorf("got %v", err)
	}
	body.wantClosed(t)
	s.closes("canceled", 1)
}

func TestAWriteThatFailsFailsTheExchange(t *testing.T) {
	httptestutil.CheckLeaks(t)
	wire := httptestutil.NewWire(t, func(c *httptestutil.WireConn) {
		c.ReadHead()
		c.Reset()
	})
	s := observe(t, &peerpool.Transport{})
	body := trackBody(zeros{})
	err := failsToExchange(s, newRequest(t, http.MethodPost, wire.URL(), body))
	if !err.Wrote || err.Started || err.Reused || err.Timeout() {
		t.Errorf("%+v", err)
	}
	body.wantClosed(t)
	s.closes("error", 1)
}

func TestTheBodyIsClosedWhateverFailsFirst(t *testing.T) {
	refusing := errors.New("refused")
	for name, spoil := range map[string]func(*peerpool.Transport, *http.Request){
		"the request": func(_ *peerpool.Transport, r *http.Request) { r.Method = "NOT ONE" },
		"PeerFor": func(tr *peerpool.Transport, _ *http.Request) {
			tr.PeerFor = func(*http.Request) (*peerpool.Peer, error) { return nil, refusing }
		},
		"the resolver": func(tr *peerpool.Transport, r *http.Request) {
			names := new(httptestutil.Resolver)
			names.Fail("nowhere.test", refusing)
			tr.Resolver, r.URL.Host = names, "nowhere.test"
		},
		"the dial": func(_ *peerpool.Transport, r *http.Request) { r.URL.Host = "127.0.0.1:1" },
		"Shutdown": func(tr *peerpool.Transport, _ *http.Request) { tr.Shutdown(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			httptestutil.CheckLeaks(t)
			tr := &peerpool.Transport{}
			body := trackBody(strings.NewReader("body"))
			req := newRequest(t, http.MethodPost, "http://127.0.0.1", body)
			spoil(tr, req)
			resp, err := observe(t, tr).RoundTrip(req)
			if err == nil {
				t.Fatalf("got %s", resp.Status)
			}
			body.wantClosed(t)
			if n := body.closings(); n != 1 {
				t.Errorf("%v: the body was closed %d times", err, n)
			}
		})
	}
}
