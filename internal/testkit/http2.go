package testkit

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// Http2Origin starts an origin that speaks HTTP/2 and HTTP/1.1 over TLS, and allows the given number of streams.
func Http2Origin(t testing.TB, streams int, handler http.HandlerFunc) *httptestutil.Origin {
	t.Helper()
	opts := httptestutil.OriginOptions{
		CA:        httptestutil.NewCA(t),
		Protocols: Versions(OverHTTP1, OverHTTP2),
		Configure: func(s *http.Server) { s.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: streams} },
	}
	if handler != nil {
		opts.Handler = handler
	}
	return httptestutil.NewOrigin(t, opts)
}

// FetchHTTP2 sends a GET and checks the response. It may be called on any goroutine.
func (s *Subject) FetchHTTP2(url string) error {
	resp, err := s.RoundTrip(NewRequest(s.T, http.MethodGet, url, nil))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.ProtoMajor != 2 || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s over %s", resp.Status, resp.Proto)
	}
	_, err = resp.Body.Read(make([]byte, 1))
	for err == nil {
		_, err = resp.Body.Read(make([]byte, 512))
	}
	if err.Error() != "EOF" {
		return err
	}
	return nil
}

// Crowd calls do on n goroutines at once, and returns when all calls have. Each error fails the test.
func Crowd(t testing.TB, n int, do func(caller int) error) {
	t.Helper()
	var wg sync.WaitGroup
	start := make(chan struct{})
	for caller := range n {
		wg.Go(func() {
			<-start
			if err := do(caller); err != nil {
				t.Errorf("caller %d: %v", caller, err)
			}
		})
	}
	close(start)
	wg.Wait()
}

// PriorKnowledge returns the protocols for HTTP/2 without TLS.
func PriorKnowledge() *http.Protocols {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return p
}

// CallsOverHTTP2 sends the request of a case, after the requests that come first, and returns the hooks that it has called.
func (c traceCase) CallsOverHTTP2(t *testing.T, rt http.RoundTripper, url string, current *atomic.Pointer[Hooks]) []string {
	t.Helper()
	for range c.First + 1 {
		h := NewHooks()
		current.Store(h)
		resp := c.send(t, rt, url, h)
		if resp.ProtoMajor != 2 {
			t.Errorf("%T: served over %s", rt, resp.Proto)
		}
		ReadBody(t, resp)
	}
	return fieldsSorted(current.Load().Calls)
}

// fieldsSorted sorts the fields of a head, which come in the random order of a map, so that they can be compared.
func fieldsSorted(calls []string) []string {
	isField := func(call string) bool { return strings.HasPrefix(call, "WroteHeaderField") }
	first := slices.IndexFunc(calls, isField)
	if first < 0 {
		return calls
	}
	n := slices.IndexFunc(calls[first:], func(call string) bool { return !isField(call) })
	slices.Sort(calls[first : first+n])
	return calls
}

// Busy sends requests on several goroutines until events returns. It returns how many requests were sent.
func (s *Subject) Busy(url string, callers int, events func()) int64 {
	s.T.Helper()
	var sent atomic.Int64
	over := make(chan struct{})
	go func() {
		defer close(over)
		events()
	}()
	Crowd(s.T, callers, func(int) error {
		for {
			select {
			case <-over:
				return nil
			default:
			}
			if err := s.FetchHTTP2(url); err != nil {
				return err
			}
			sent.Add(1)
		}
	})
	return sent.Load()
}
