package poolz

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// visited returns a page that allows draining or not, and the id of the one identity it knows.
func visited(t *testing.T, opts ...Option) (*shown, string) {
	s := show(t, true, opts...)
	s.visit(newOrigin(t), "")
	return s, s.document("").Identities[0].ID
}

func TestTheButtonDrainsOneIdentity(t *testing.T) {
	s, id := visited(t, AllowDrain())
	wantIn(t, s.look("?id="+id), `<form method="post"`)
	s.visit(newOrigin(t), "other")
	a := s.ask(http.MethodPost, "?id="+id+"&q=x", "drain="+id, "Origin", strings.TrimSuffix(s.url, "/debug/pool"))
	if a.status != http.StatusSeeOther || a.header.Get("Location") != "?q=x" {
		t.Fatalf("status %d to %q, want 303 to ?q=x: %s", a.status, a.header.Get("Location"), a.body)
	}
	if st := s.Stats(); st.Closes["drain"] != 1 || st.Idle != 1 {
		t.Errorf("%d drained, %d idle, want 1 each", st.Closes["drain"], st.Idle)
	}
	wantIn(t, s.look(""), "<b>Drained</b>", ": 1 connection,")
}

func TestDrainingIsRefusedWhereItIsNotAllowed(t *testing.T) {
	s, id := visited(t)
	if strings.Contains(s.look("?id="+id), `method="post"`) {
		t.Error("there is a button that does nothing")
	}
	a := s.ask(http.MethodPost, "", "drain="+id)
	if a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != "GET, HEAD" {
		t.Errorf("status %d, allowed %q, want 405 and GET, HEAD", a.status, a.header.Get("Allow"))
	}
	wantIn(t, a.body, "poolz.AllowDrain")
	if s.Stats().Idle != 1 {
		t.Error("something was drained")
	}
}

func TestAnotherSiteCannotDrain(t *testing.T) {
	s, id := visited(t, AllowDrain())
	for _, field := range [][]string{{"Origin", "http://evil.test"}, {"Sec-Fetch-Site", "cross-site"}, {"Origin", "null"}} {
		if a := s.ask(http.MethodPost, "", "drain="+id, field...); a.status != http.StatusForbidden {
			t.Errorf("%v: status %d, want 403", field, a.status)
		}
	}
	if s.Stats().Idle != 1 {
		t.Error("something was drained")
	}
}

func TestADrainThatNamesNothingKnownIsRefused(t *testing.T) {
	s, _ := visited(t, AllowDrain())
	for form, want := range map[string]int{
		"": http.StatusBadRequest, "id=1": http.StatusBadRequest, "drain=%zz": http.StatusBadRequest,
		"drain=beef": http.StatusNotFound, "drain=" + strings.Repeat("f", 2*maxForm): http.StatusBadRequest,
	} {
		if a := s.ask(http.MethodPost, "", form); a.status != want {
			t.Errorf("%.20q: status %d, want %d", form, a.status, want)
		}
	}
	if a := s.ask(http.MethodPut, "", url.Values{"drain": {"x"}}.Encode()); a.status != http.StatusMethodNotAllowed {
		t.Errorf("PUT: status %d, want 405", a.status)
	}
}
