package poolz

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// shown is a Transport with its page on a server.
type shown struct {
	*peerpool.Transport
	t    *testing.T
	page *Page
	url  string
}

// show puts a page on a server. Its transport is observed if observed is set.
func show(t *testing.T, observed bool, opts ...Option) *shown {
	t.Helper()
	tr := &peerpool.Transport{}
	page := New(tr, opts...)
	if observed {
		tr.Observer = page.Observer()
	}
	mux := http.NewServeMux()
	mux.Handle("/debug/", http.StripPrefix("/debug", page))
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	t.Cleanup(tr.CloseIdleConnections)
	return &shown{tr, t, page, srv.URL + "/debug/pool"}
}

// visit sends a request through the transport and reads its response.
func (s *shown) visit(url, group string) {
	s.t.Helper()
	peer, err := peerpool.NewPeer(peerpool.PeerOptions{Group: group})
	if err != nil {
		s.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(peerpool.WithPeer(s.t.Context(), peer), http.MethodGet, url, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := s.RoundTrip(req)
	if err != nil {
		s.t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
}

// answer is what the page answered.
type answer struct {
	status int
	header http.Header
	body   string
}

func (s *shown) ask(method, query, form string, fields ...string) answer {
	s.t.Helper()
	req, err := http.NewRequest(method, s.url+query, strings.NewReader(form))
	if err != nil {
		s.t.Fatal(err)
	}
	if form != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

// look returns the page, which must be there.
func (s *shown) look(query string) string {
	s.t.Helper()
	a := s.ask(http.MethodGet, query, "")
	if a.status != http.StatusOK {
		s.t.Fatalf("%s: status %d: %s", query, a.status, a.body)
	}
	return a.body
}

// document returns the page as JSON.
func (s *shown) document(query string) document {
	s.t.Helper()
	var d document
	if err := json.Unmarshal([]byte(s.look("?format=json"+query)), &d); err != nil {
		s.t.Fatal(err)
	}
	return d
}

func wantIn(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in:\n%s", part, text)
		}
	}
}

// crowd is a pool with a number of identities. No Transport has to open connections for them.
type crowd struct{ stats peerpool.Stats }

func newCrowd(t *testing.T, n int) *crowd {
	t.Helper()
	c := new(crowd)
	tr := &peerpool.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("not today") },
		Observer: &peerpool.Observer{AcquireDone: func(_ context.Context, a peerpool.AcquireDone) {
			hits := len(c.stats.Peers)
			c.stats.Peers = append(c.stats.Peers, peerpool.PeerStats{Identity: a.Identity, Idle: hits % 7, Hits: uint64(hits), Misses: 1})
			c.stats.Hits += uint64(hits)
		}},
	}
	for i := range n {
		req := httptest.NewRequest(http.MethodGet, fmt.Sprintf("http://host-%05d.test/", i), nil)
		if _, err := tr.RoundTrip(req); err == nil {
			t.Fatal("a dial that fails has not failed")
		}
	}
	return c
}

func (c *crowd) Stats() peerpool.Stats                        { return c.stats }
func (c *crowd) Conns(peerpool.Identity) []peerpool.ConnStats { return nil }
func (c *crowd) Drain(peerpool.Identity) int                  { return 0 }

// get asks a page that is not on a server.
func get(p *Page, query string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/"+query, nil))
	return w
}

func newOrigin(t *testing.T) string {
	return httptestutil.NewOrigin(t, httptestutil.OriginOptions{}).URL()
}
