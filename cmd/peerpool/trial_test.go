package main

import (
	"net/http"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// tried sends n requests from one caller to the server at base and returns what happened.
func tried(t *testing.T, base string, n int) row {
	t.Helper()
	tr, err := newTrial(base)
	if err != nil {
		t.Fatal(err)
	}
	rt := &http.Transport{}
	defer rt.CloseIdleConnections()
	l := &load{client: newClient(rt), callers: 1, prepare: tr.prepare}
	l.run(t.Context(), 0, n)
	return tr.row()
}

func TestTheAnswerToAnotherRequestIsCountedAsWrong(t *testing.T) {
	w := httptestutil.NewWire(t, httptestutil.Replies(
		httptestutil.Response("00000000"), httptestutil.Response("00000000"), httptestutil.Response("00000002")))
	if r := tried(t, w.URL(), 3); r.answered != 2 || r.wrong != 1 || r.failed != 0 {
		t.Errorf("%d answered, %d wrong, %d failed, want 2, 1 and 0", r.answered, r.wrong, r.failed)
	}
}

func TestTheTraceTellsUsedConnectionsFromNewOnes(t *testing.T) {
	s := serving(t, manners{})
	if r := tried(t, s.url(), 5); r.attempts != 5 || r.reused != 4 || r.recovered != 0 {
		t.Errorf("%d attempts, %d on used connections, %d recovered, want 5, 4 and 0", r.attempts, r.reused, r.recovered)
	}
}

func TestEveryFourthRequestIsAPost(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	tried(t, o.URL(), 8)
	for i, seen := range o.Seen() {
		want := http.MethodGet
		if i%4 == 3 {
			want = http.MethodPost
		}
		if seen.Method != want {
			t.Errorf("request %d is a %s, want a %s", i, seen.Method, want)
		}
	}
}

func TestATableAlignsTextLeftAndNumbersRight(t *testing.T) {
	var tb table
	tb.texts = 1
	tb.add("name", "n")
	tb.add("é", "10", "")
	if got, want := tb.text("> "), "> name   n\n> é     10\n"; got != want {
		t.Errorf("the table is %q, want %q", got, want)
	}
}

func TestAPercentageIsRoundedDown(t *testing.T) {
	for _, c := range []struct {
		part, whole uint64
		want        string
	}{{0, 0, "-"}, {1, 3, "33.3%"}, {99999, 100000, "99.9%"}, {7, 7, "100.0%"}} {
		if got := percent(c.part, c.whole); got != c.want {
			t.Errorf("%d of %d is %s, want %s", c.part, c.whole, got, c.want)
		}
	}
}
