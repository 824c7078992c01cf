package httptestutil_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"runtime"
	"strings"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// newClient returns a client over a net/http.Transport of its own, made with
// tlsConfig and changed by edits.
func newClient(t *testing.T, tlsConfig *tls.Config, edits ...func(*http.Transport)) *http.Client {
	t.Helper()
	tr := &http.Transport{TLSClientConfig: tlsConfig}
	for _, edit := range edits {
		edit(tr)
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// get fetches url and reads the answer to its end.
func get(t *testing.T, client *http.Client, url string) (body string, resp *http.Response) {
	t.Helper()
	body, resp, err := tryGet(t, client, url)
	if err != nil {
		t.Fatalf("GET %s: %v", url, err)
	}
	return body, resp
}

func tryGet(t *testing.T, client *http.Client, url string) (body string, resp *http.Response, err error) {
	t.Helper()
	resp, err = client.Get(url)
	if err != nil {
		return "", nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return string(data), resp, err
}

// getIdle fetches url and returns once the connection is in the transport's
// idle list, which it is a moment after the answer has been read.
func getIdle(t *testing.T, client *http.Client, url string) httptestutil.Seen {
	t.Helper()
	parked := make(chan error, 1)
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		PutIdleConn: func(err error) { parked <- err },
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatalf("GET %s: %v", url, err)
	}
	seen := httptestutil.ReadSeen(t, resp)
	if err := <-parked; err != nil {
		t.Fatalf("the transport did not keep the connection: %v", err)
	}
	return seen
}

// echo fetches url, which is an origin's, and returns what the origin saw.
func echo(t *testing.T, client *http.Client, url string) httptestutil.Seen {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatalf("GET %s: %v", url, err)
	}
	return httptestutil.ReadSeen(t, resp)
}

func wantError(t *testing.T, err error, part string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), part) {
		t.Errorf("got error %v, want one that says %q", err, part)
	}
}

func wantEqual[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// failures runs f as a test of its own, cleanups included, and returns the
// texts with which it failed.
func failures(t *testing.T, f func(testing.TB)) []string {
	t.Helper()
	return (&recordingTB{TB: t}).finish(f)
}

// A recordingTB keeps a test's failures to itself.
type recordingTB struct {
	testing.TB
	texts    []string
	cleanups []func()
}

func (tb *recordingTB) Helper()          {}
func (tb *recordingTB) Cleanup(f func()) { tb.cleanups = append(tb.cleanups, f) }

func (tb *recordingTB) Errorf(format string, args ...any) {
	tb.texts = append(tb.texts, fmt.Sprintf(format, args...))
}

func (tb *recordingTB) Fatalf(format string, args ...any) {
	tb.Errorf(format, args...)
	runtime.Goexit()
}

// finish runs f and the cleanups that it asked for, and returns the failures.
func (tb *recordingTB) finish(f func(testing.TB)) []string {
	tb.run(func() { f(tb) })
	for len(tb.cleanups) > 0 {
		last := tb.cleanups[len(tb.cleanups)-1]
		tb.cleanups = tb.cleanups[:len(tb.cleanups)-1]
		tb.run(last)
	}
	return tb.texts
}

// run calls f on a goroutine of its own, since f may end it.
func (tb *recordingTB) run(f func()) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f()
	}()
	<-ended
}

func wantFailure(t *testing.T, texts []string, part string) {
	t.Helper()
	if len(texts) == 0 || !strings.Contains(texts[0], part) {
		t.Errorf("the test's failures are %q; want one that says %q", texts, part)
	}
}

func wantNoFailure(t *testing.T, texts []string) {
	t.Helper()
	if len(texts) > 0 {
		t.Errorf("the test failed: %q", texts)
	}
}
