package peerpool_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// These tests follow the walk of a request from one end to the other; each later file looks at one stretch.

func TestOneWordSwitchesAClientOver(t *testing.T) {
	httptestutil.CheckLeaks(t)
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	client := &http.Client{Transport: &peerpool.Transport{}}
	defer client.CloseIdleConnections()
	for want := 1; want <= 2; want++ {
		resp, err := client.Get(origin.URL() + "/one?word=x")
		if err != nil {
			t.Fatal(err)
		}
		if seen := httptestutil.ReadSeen(t, resp); seen.Target != "/one?word=x" || seen.Conn != 1 || seen.Seq != want {
			t.Errorf("request %d arrived as %+v", want, seen)
		}
	}
}

func TestARequestArrivesAsItWasMeant(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	s := testkit.Observe(t, &peerpool.Transport{})
	req := testkit.With(testkit.NewRequest(t, "PURGE", origin.URL()+"/a%2Fb/c%20d?q=1&q=%202", nil), "X-One: 1", "X-Two: a", "X-Two: b")
	req.Host = "elsewhere.example"
	seen := s.Seen(req)
	if seen.Method != "PURGE" || seen.Target != "/a%2Fb/c%20d?q=1&q=%202" || seen.Host != "elsewhere.example" {
		t.Errorf("arrived as %+v", seen)
	}
	for name, want := range map[string]string{
		"X-One": "1", "X-Two": "a|b", "User-Agent": "Go-http-client/1.1", "Accept-Encoding": "gzip",
	} {
		if got := strings.Join(seen.Header[name], "|"); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if len(req.Header) != 2 {
		t.Errorf("the caller's header was changed: %v", req.Header)
	}
}

func TestTheNextRequestReusesTheConnection(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	s := testkit.Observe(t, &peerpool.Transport{})
	rec := httptestutil.NewRecorder(s)
	client := &http.Client{Transport: rec}
	for i := range 10 {
		resp, err := client.Get(origin.URL())
		if err != nil {
			t.Fatal(err)
		}
		testkit.ReadBody(t, resp)
		if i == 0 {
			rec.WantFresh(t)
		} else {
			rec.WantReused(t, 1)
		}
	}
	if st := s.Stats(); st.Opened != 1 || st.Hits != 9 || st.Misses["cold"] != 1 || st.Idle != 1 {
		t.Errorf("%+v", st)
	}
}

func TestManyCallersGetTheirOwnAnswersOverFewConnections(t *testing.T) {
	httptestutil.CheckLeaks(t)
	const callers, rounds, conns = 16, 25, 4
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Handler: http.HandlerFunc(testkit.Digest)})
	s := testkit.Observe(t, &peerpool.Transport{MaxConnsPerHost: conns})
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for round := range rounds {
				text := strings.Repeat(fmt.Sprintf("caller %d round %d ", caller, round), 1+caller*round)
				req := testkit.NewRequest(t, http.MethodPost, origin.URL(), strings.NewReader(text))
				resp, err := s.RoundTrip(req)
				if err != nil {
					t.Error(err)
					return
				}
				if got, want := testkit.ReadBody(t, resp), testkit.DigestOf(text, int64(len(text))); got != want {
					t.Errorf("caller %d got %s, want %s", caller, got, want)
				}
			}
		})
	}
	wg.Wait()
	if n := origin.Conns(); n > conns {
		t.Errorf("%d connections, want at most %d", n, conns)
	}
	if n := origin.Requests(); n != callers*rounds {
		t.Errorf("the origin had %d requests, want %d", n, callers*rounds)
	}
}

func TestEveryKindOfBodyArrivesWhole(t *testing.T) {
	httptestutil.CheckLeaks(t)
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Handler: http.HandlerFunc(testkit.Digest)})
	s := testkit.Observe(t, &peerpool.Transport{})
	for _, size := range []int{1, 4095, 4097, 16 << 10, 16<<10 + 1, 32 << 10, 1 << 20} {
		text := strings.Repeat("0123456789abcdef", size/16+1)[:size]
		path := filepath.Join(t.TempDir(), "body")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for kind, open := range map[string]func() (io.Reader, int64){
			"strings.Reader":   func() (io.Reader, int64) { return strings.NewReader(text), 0 },
			"bytes.Buffer":     func() (io.Reader, int64) { return bytes.NewBufferString(text), 0 },
			"of unknown size":  func() (io.Reader, int64) { return io.MultiReader(strings.NewReader(text)), -1 },
			"of declared size": func() (io.Reader, int64) { return io.MultiReader(strings.NewReader(text)), int64(size) },
			"file": func() (io.Reader, int64) {
				f, err := os.Open(path)
				if err != nil {
					t.Fatal(err)
				}
				return f, int64(size) // the Transport closes it
			},
		} {
			body, declared := open()
			req := testkit.NewRequest(t, http.MethodPost, origin.URL(), body)
			if declared != 0 {
				req.ContentLength = declared
			}
			if got, want := s.Ok(req), testkit.DigestOf(text, req.ContentLength); got != want {
				t.Errorf("%s, %d bytes: got %s, want %s", kind, size, got, want)
			}
		}
	}
	if n := origin.Conns(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

func TestABodyIsFramedAsItsMethodWants(t *testing.T) {
	framing := func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%q %q", r.Header["Content-Length"], r.TransferEncoding)
	}
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Handler: http.HandlerFunc(framing)})
	s := testkit.Observe(t, &peerpool.Transport{})
	for _, c := range []struct {
		method string
		body   io.Reader
		want   string
	}{
		{"GET", nil, `[] []`},
		{"POST", nil, `["0"] []`},
		{"POST", http.NoBody, `["0"] []`},
		{"PUT", strings.NewReader(""), `["0"] []`},
		{"DELETE", nil, `[] []`},
		{"GET", strings.NewReader("abc"), `["3"] []`},
		{"POST", io.MultiReader(strings.NewReader("abc")), `[] ["chunked"]`},
		{"GET", io.MultiReader(strings.NewReader("abc")), `[] ["chunked"]`},
		{"GET", io.MultiReader(strings.NewReader("")), `[] []`},
	} {
		if got := s.Ok(testkit.NewRequest(t, c.method, origin.URL(), c.body)); got != c.want {
			t.Errorf("%s with %T: %s, want %s", c.method, c.body, got, c.want)
		}
	}
}

func TestGzipIsUndoneUnlessTheCallerAskedForIt(t *testing.T) {
	const text = "plain text, compressed on its way"
	zipped := func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "gzip" {
			io.WriteString(w, text)
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		zw := gzip.NewWriter(w)
		io.WriteString(zw, text)
		zw.Close()
	}
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Handler: http.HandlerFunc(zipped)})
	s := testkit.Observe(t, &peerpool.Transport{})

	resp, body := s.Send(testkit.NewRequest(t, "GET", origin.URL(), nil))
	if body != text || !resp.Uncompressed || resp.ContentLength != -1 || resp.Header.Get("Content-Encoding") != "" {
		t.Errorf("asked for by the Transport: %q, %+v", body, resp)
	}
	resp, body = s.Send(testkit.With(testkit.NewRequest(t, "GET", origin.URL(), nil), "Accept-Encoding: gzip"))
	if !strings.HasPrefix(body, "\x1f\x8b") || resp.Uncompressed || resp.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("asked for by the caller: %q, %+v", body, resp)
	}
	if _, body = s.Send(testkit.With(testkit.NewRequest(t, "GET", origin.URL(), nil), "Range: bytes=0-3")); body != text {
		t.Errorf("of a range: %q", body)
	}
	plain := testkit.Observe(t, &peerpool.Transport{DisableCompression: true})
	if resp, body = plain.Send(testkit.NewRequest(t, "GET", origin.URL(), nil)); body != text || resp.Uncompressed {
		t.Errorf("with DisableCompression: %q", body)
	}
	if origin.Conns() != 2 {
		t.Errorf("%d connections, want one of each Transport", origin.Conns())
	}
}

func TestHeadHasTheLengthAndNoBody(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	s := testkit.Observe(t, &peerpool.Transport{})
	for range 2 {
		resp, body := s.Send(testkit.NewRequest(t, http.MethodHead, origin.URL(), nil))
		if body != "" || resp.StatusCode != 200 {
			t.Errorf("%s, body %q", resp.Status, body)
		}
	}
	length := httptestutil.NewWire(t, httptestutil.Replies("HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n"))
	resp, _ := s.Send(testkit.NewRequest(t, http.MethodHead, length.URL(), nil))
	if resp.ContentLength != 12345 || resp.Header.Get("Content-Length") != "12345" {
		t.Errorf("length %d, %v", resp.ContentLength, resp.Header)
	}
	if origin.Conns() != 1 {
		t.Errorf("%d connections, want 1", origin.Conns())
	}
}

func TestRedirectsOfAClientKeepMethodAndBodyAsTheyMust(t *testing.T) {
	redirect := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/end" {
			b, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s", r.Method, b)
			return
		}
		var code int
		fmt.Sscanf(r.URL.Path, "/%d", &code)
		http.Redirect(w, r, "/end", code)
	}
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Handler: http.HandlerFunc(redirect)})
	s := testkit.Observe(t, &peerpool.Transport{})
	client := &http.Client{Transport: s}
	for code, want := range map[int]string{301: "GET ", 302: "GET ", 303: "GET ", 307: "POST payload", 308: "POST payload"} {
		resp, err := client.Post(fmt.Sprintf("%s/%d", origin.URL(), code), "text/plain", strings.NewReader("payload"))
		if err != nil {
			t.Fatal(err)
		}
		if got := testkit.ReadBody(t, resp); got != want || resp.Request.URL.Path != "/end" {
			t.Errorf("%d: %q at %s, want %q", code, got, resp.Request.URL, want)
		}
	}
	if origin.Conns() != 1 {
		t.Errorf("%d connections, want 1", origin.Conns())
	}
}

func TestTrailersTravelBothWays(t *testing.T) {
	trailers := func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Trailer", "X-Sum")
		io.WriteString(w, "body")
		w.Header().Set("X-Sum", r.Trailer.Get("X-Up"))
		w.Header().Set(http.TrailerPrefix+"X-More", "unannounced")
	}
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Handler: http.HandlerFunc(trailers)})
	s := testkit.Observe(t, &peerpool.Transport{})
	req := testkit.NewRequest(t, http.MethodPost, origin.URL(), nil)
	req.Trailer = http.Header{"X-Up": nil}
	req.Body = io.NopCloser(io.MultiReader(strings.NewReader("data"), testkit.AtEnd(func() { req.Trailer.Set("X-Up", "42") })))
	req.ContentLength = -1
	resp, err := s.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if _, announced := resp.Trailer["X-Sum"]; !announced {
		t.Errorf("before the body was read: %v", resp.Trailer)
	}
	testkit.ReadBody(t, resp)
	if resp.Trailer.Get("X-Sum") != "42" || resp.Trailer.Get("X-More") != "unannounced" {
		t.Errorf("trailer %v", resp.Trailer)
	}
	s.Get(origin.URL())
	if origin.Conns() != 1 {
		t.Error("trailers have cost the connection")
	}
}

// The trailer is checked before the request is sent, but the body may put other fields into it until its end.
func TestATrailerThatTheBodyFillsInHasNoLineEnds(t *testing.T) {
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t), Protocols: protocols})
	tr := &peerpool.Transport{TLSClientConfig: origin.ClientTLS(), ForceAttemptHTTP2: true}
	t.Cleanup(tr.CloseIdleConnections)
	for name, late := range map[string]http.Header{
		"value": {"X-Up": {"a\r\nevil: 1"}}, "name": {"X-Up\r\nevil": {"1"}}, "both are well": {"X-Up": {"a\tb"}},
	} {
		req := testkit.NewRequest(t, http.MethodPost, origin.URL(), nil)
		req.Trailer = http.Header{"X-Up": nil}
		req.Body = io.NopCloser(io.MultiReader(strings.NewReader("data"), testkit.AtEnd(func() { maps.Copy(req.Trailer, late) })))
		req.ContentLength = -1
		resp, err := tr.RoundTrip(req)
		if err == nil {
			testkit.ReadBody(t, resp)
		}
		if refused := err != nil && strings.Contains(err.Error(), "invalid trailer field"); refused != (name != "both are well") {
			t.Errorf("%s: error is %v", name, err)
		}
	}
	if origin.Conns() != 1 {
		t.Errorf("%d connections, want 1", origin.Conns())
	}
}
