package poolz

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

func TestTheDocumentSaysWhatStatsSays(t *testing.T) {
	s := show(t, false)
	a, b := newOrigin(t), newOrigin(t)
	for range 3 {
		s.visit(a, "")
		s.visit(b, "tenant")
	}
	d, stats := s.document(""), s.Stats()
	if d.Idle != 2 || d.Idle != stats.Idle || d.Hits != stats.Hits || d.Opened != stats.Opened || d.Misses["cold"] != 2 {
		t.Errorf("the document says %+v, Stats %+v", d, stats)
	}
	if len(d.Identities) != 2 || d.Known != 2 {
		t.Fatalf("%d identities, %d known, want 2", len(d.Identities), d.Known)
	}
	for _, i := range d.Identities {
		if i.Hits != 2 || i.Misses != 1 || len(i.Conns) != 1 || i.Conns[0].Uses != 3 {
			t.Errorf("identity %+v, want 2 hits, 1 miss and a connection used 3 times", i)
		}
	}
}

func TestAnObservingPageNamesTheIdentityOfEachCloseAndMiss(t *testing.T) {
	s := show(t, true)
	origin := newOrigin(t)
	s.visit(origin, "tenant-a")
	s.CloseIdleConnections()
	d := s.document("")
	if len(d.LastMisses) != 1 || d.LastMisses[0].Reason != "cold" || !strings.Contains(d.LastMisses[0].Identity, "tenant-a") {
		t.Errorf("misses %+v, want a cold one of tenant-a", d.LastMisses)
	}
	if len(d.LastCloses) != 1 || d.LastCloses[0].Reason != "close_idle" || d.LastCloses[0].ID != d.LastMisses[0].ID {
		t.Errorf("closes %+v, want one of the same identity by close_idle", d.LastCloses)
	}
}

func TestAPageThatDoesNotObserveTellsWhatChangedBetweenLooks(t *testing.T) {
	s := show(t, false)
	origin := newOrigin(t)
	s.visit(origin, "")
	if d := s.document(""); len(d.LastMisses) != 0 {
		t.Errorf("misses before the first look: %+v, want none", d.LastMisses)
	}
	s.CloseIdleConnections()
	s.visit(origin, "")
	d := s.document("")
	if len(d.LastMisses) != 1 || d.LastMisses[0].Count != 1 || d.LastMisses[0].Identity != "" {
		t.Errorf("misses %+v, want one of nobody known", d.LastMisses)
	}
	if len(d.LastCloses) != 1 || d.LastCloses[0].Reason != "close_idle" {
		t.Errorf("closes %+v, want one", d.LastCloses)
	}
}

func TestAnIdentityHasAPageOfItsOwn(t *testing.T) {
	s := show(t, true)
	origin := newOrigin(t)
	s.visit(origin, "tenant-a")
	s.visit(origin, "tenant-b")
	for _, i := range s.document("").Identities {
		page := s.look("?id=" + i.ID)
		wantIn(t, page, i.Identity, "<dt>address</dt>", "Connections <small>1,", `class="state idle"`)
		if other := map[bool]string{true: "tenant-b", false: "tenant-a"}[strings.Contains(i.Identity, "tenant-a")]; strings.Contains(page, other) {
			t.Errorf("%s is on the page of %s", other, i.Identity)
		}
	}
	if a := s.ask(http.MethodGet, "?id=beef", ""); a.status != http.StatusNotFound {
		t.Errorf("status %d for an identity that is not known, want 404", a.status)
	} else {
		wantIn(t, a.body, "The pool does not know this identity")
	}
}

func TestTenThousandIdentitiesArePagedSortedAndSearched(t *testing.T) {
	p := newPage(newCrowd(t, 10000), nil)
	first := get(p, "?sort=identity&order=asc").Body.String()
	wantIn(t, first, "1–50 of 10,000", ">http://host-00000.test:80<", ">http://host-00049.test:80<")
	if n := strings.Count(first, "<tr data-id="); n != 50 {
		t.Errorf("%d identities on the first page, want 50", n)
	}
	wantIn(t, get(p, "?sort=identity&order=asc&page=200").Body.String(), "9,951–10,000 of 10,000", "host-09999.test")
	wantIn(t, get(p, "?page=9999").Body.String(), "9,951–10,000 of 10,000")
	found := get(p, "?q=HOST-0777+:80").Body.String()
	wantIn(t, found, "10 of <span", "host-07770.test", "host-07779.test")
	if strings.Contains(found, "host-07780.test") {
		t.Error("an identity is shown that was not searched for")
	}
	top := get(p, "?n=1").Body.String()
	wantIn(t, top, "1–1 of 10,000", `data-label="Hits">9,999<`)
}

func TestLinksKeepWhatWasAskedFor(t *testing.T) {
	p := newPage(newCrowd(t, 200), nil)
	body := get(p, "?q=host&sort=idle&n=20&refresh=0").Body.String()
	next := regexp.MustCompile(`href="([^"]*)" rel="next"`).FindStringSubmatch(body)
	if next == nil {
		t.Fatal("there is no next page")
	}
	ref := strings.ReplaceAll(next[1], "&amp;", "&")
	got, err := url.ParseQuery(strings.TrimPrefix(ref, "?"))
	want := url.Values{"q": {"host"}, "sort": {"idle"}, "n": {"20"}, "refresh": {"0"}, "page": {"2"}}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the next page is %v, want %v", got, want)
	}
}

func TestBadParametersAreRefusedWithWhatToWrite(t *testing.T) {
	s := show(t, false)
	for query, says := range map[string]string{
		"?page=0": "page: write a whole number from 1", "?n=1001": "n: write a whole number from 1 to 1000",
		"?refresh=-1": "refresh: write a whole number from 0", "?sort=color": "sort: there is no such column; there are identity, idle",
		"?format=xml": "format: write html or json", "?order=up": "order: write desc or asc", "?q=%zz": "cannot be read",
	} {
		if a := s.ask(http.MethodGet, query, ""); a.status != http.StatusBadRequest || !strings.Contains(a.body, says) {
			t.Errorf("%s: status %d, %q; want 400 and %q", query, a.status, a.body, says)
		}
	}
}

func TestRefreshingCanBeSwitchedOff(t *testing.T) {
	s := show(t, false)
	wantIn(t, s.look(""), `<noscript><meta http-equiv="refresh" content="5"></noscript>`)
	wantIn(t, s.look("?refresh=30"), `content="30"`)
	if strings.Contains(s.look("?refresh=0"), "http-equiv") {
		t.Error("the page refreshes although it was asked not to")
	}
}

func TestThePolicyAllowsThePagesOwnStyleAndScriptAlone(t *testing.T) {
	s := show(t, false)
	a := s.ask(http.MethodGet, "", "")
	policy := a.header.Get("Content-Security-Policy")
	for _, tag := range []string{"style", "script"} {
		inline := regexp.MustCompile(`(?s)<`+tag+`>(.*?)</`+tag+`>`).FindAllStringSubmatch(a.body, -1)
		if len(inline) != 1 {
			t.Fatalf("%d %s elements, want 1", len(inline), tag)
		}
		wantIn(t, policy, tag+"-src "+digestSource(inline[0][1]))
	}
	wantIn(t, policy, "default-src 'none'", "form-action 'self'", "frame-ancestors 'none'")
	if strings.Contains(policy, "unsafe") || regexp.MustCompile(`(?:src|href)="(?:https?:)?//`).MatchString(a.body) {
		t.Errorf("the page is open to what is not its own: %s", policy)
	}
}

func TestNamesAreEscaped(t *testing.T) {
	s := show(t, true)
	s.visit(newOrigin(t), `<script>alert("x")</script>`)
	if page := s.look(""); strings.Contains(page, "<script>alert") || !strings.Contains(page, "&lt;script&gt;alert") {
		t.Error("the name of an identity is not escaped")
	}
	wantIn(t, s.look("?q=%22%3E%3Cb%3E"), `value="&#34;&gt;&lt;b&gt;"`)
}

func TestTheTextOfAnErrorIsNotShown(t *testing.T) {
	secret := fmt.Errorf("invalid proxy http://user:s3cret@h")
	tr := &peerpool.Transport{Proxy: func(*http.Request) (*url.URL, error) { return nil, secret }}
	page := New(tr)
	tr.Observer = page.Observer()
	req, err := http.NewRequest(http.MethodGet, "http://a.test/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tr.RoundTrip(req); err == nil {
		t.Fatal("a request without a proxy has got a response")
	}
	body := get(page, "").Body.String() + get(page, "?format=json").Body.String()
	wantIn(t, body, "no_connection")
	if strings.Contains(body, "s3cret") {
		t.Error("the page shows what should not be seen")
	}
}

func TestThePageSaysWhichTimeLimitsHaveEndedRequests(t *testing.T) {
	s := show(t, false)
	if page := s.look(""); strings.Contains(page, "Time-outs") {
		t.Error("there are time-outs before any request")
	}
	s.ResponseHeaderTimeout = time.Millisecond
	silent := httptestutil.NewWire(t, func(c *httptestutil.WireConn) { _ = c.WaitClosed() })
	if resp, err := (&http.Client{Transport: s}).Get(silent.URL()); err == nil {
		resp.Body.Close()
		t.Fatal("the server answers")
	}
	wantIn(t, s.look(""), "Time-outs", "response_header", meanings["response_header limit"])
	if n := s.document("").Timeouts["response_header"]; n != 1 {
		t.Errorf("%d time-outs in the document, want 1", n)
	}
}
