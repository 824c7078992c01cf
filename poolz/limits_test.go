package poolz

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/peerpool/peerpool"
)

// learned is a pool that has learned limits of its first n identities.
func learned(t *testing.T, n int) *crowd {
	t.Helper()
	c := newCrowd(t, n+1)
	for i, peer := range c.stats.Peers[:n] {
		l := peerpool.PeerLimits{Identity: peer.Identity}
		l.IdleClose, l.IdleTime, l.IdleSince = 2*time.Second, 1800*time.Millisecond, time.Now().Add(-time.Duration(i)*time.Minute)
		c.stats.Learned = append(c.stats.Learned, l)
	}
	return c
}

func TestThePageShowsLearnedLimits(t *testing.T) {
	c := learned(t, 2)
	c.stats.Learned[1].Requests, c.stats.Learned[1].RequestsSince = 100, time.Now()
	p := newPage(c, nil)
	body := get(p, "").Body.String()
	wantIn(t, body, "Learned limits", "closes connections that have been idle for 2.0 s",
		"takes none that has been idle for longer than 1.8 s", "serves 100 requests on a connection")
	card := body[strings.Index(body, "Learned limits"):]
	if first, second := strings.Index(card, "host-00001"), strings.Index(card, "host-00000"); first > second {
		t.Error("the limit that was learned last is not the first")
	}
	var d document
	if err := json.Unmarshal(get(p, "?format=json").Body.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	if len(d.Learned) != 2 || d.Learned[0].Requests != 100 || d.Learned[1].IdleClose != 2 || d.Learned[1].IdleTime != 1.8 || d.Learned[1].RequestsSince != nil {
		t.Errorf("the document says %+v", d.Learned)
	}
	for _, i := range d.Identities {
		one := get(p, "?id="+i.ID).Body.String()
		if knows := !strings.Contains(i.Identity, "host-00002"); strings.Contains(one, "<dt>learned</dt>") != knows {
			t.Errorf("the page of %s shows a limit: %v", i.Identity, !knows)
		}
	}
}

func TestAThousandLearnedLimitsMakeNoHugePage(t *testing.T) {
	body := get(newPage(learned(t, 1000), nil), "").Body.String()
	if n := strings.Count(body, "closes connections that"); n != limitsOnPage {
		t.Errorf("%d limits on the page, want %d", n, limitsOnPage)
	}
	wantIn(t, body, "and 992 more")
}

func TestWithoutLearnedLimitsThePageSaysNothingOfThem(t *testing.T) {
	if body := get(newPage(newCrowd(t, 1), nil), "").Body.String(); strings.Contains(body, "Learned limits") {
		t.Error("there is a card without limits")
	}
}

func TestRequestsOverTheRetryBudgetAreShown(t *testing.T) {
	c := newCrowd(t, 1)
	if body := get(newPage(c, nil), "").Body.String(); strings.Contains(body, "over_budget") {
		t.Error("the page speaks of a budget that was never exceeded")
	}
	c.stats.Retries.OverBudget = 12
	wantIn(t, get(newPage(c, nil), "").Body.String(), "over_budget<small>"+meanings["over_budget retry"], `data-stat="budget" class="bad">12<`)
}

func TestReplacementsAreShownWhereThereWereSome(t *testing.T) {
	c := newCrowd(t, 1)
	c.stats.Replacements = 33
	p := newPage(c, nil)
	wantIn(t, get(p, "").Body.String(), `data-stat="replacements">33<`)
	wantIn(t, get(p, "?format=json").Body.String(), `"replacements": 33`)
	c.stats.Replacements = 0
	if strings.Contains(get(p, "").Body.String(), `data-stat="replacements"`) {
		t.Error("a number that says nothing takes room")
	}
}
