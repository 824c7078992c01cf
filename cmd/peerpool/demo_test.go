package main

import (
	"context"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// small returns the phases of the demonstration with few requests and short pauses.
func small() []phase {
	phases := demoPhases()
	for i := range phases {
		ph := &phases[i]
		ph.requests = 120
		if ph.wave > 0 {
			ph.wave = 50 // the last one is smaller
		}
		if ph.manners.restartEvery > 0 {
			ph.manners = restarting(50, 2)
		}
	}
	return phases
}

// demoRows runs phases and returns the rows of the table.
func demoRows(t *testing.T, phases []phase) []row {
	t.Helper()
	d := quietDemonstration(t)
	rows, err := d.rows(t.Context(), phases)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// quietDemonstration shows no progress, and ends with the test.
func quietDemonstration(t *testing.T) *demonstration {
	t.Helper()
	d, err := newDemonstration(streams{out: io.Discard, err: io.Discard, live: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.close)
	return d
}

// squeezed returns text with one space wherever there were several, or a new line.
func squeezed(text string) string { return strings.Join(strings.Fields(text), " ") }

// only returns the phase of that name.
func only(t *testing.T, name string) phase {
	t.Helper()
	phases := small()
	i := slices.IndexFunc(phases, func(ph phase) bool { return ph.name == name })
	if i < 0 {
		t.Fatalf("there is no phase %q", name)
	}
	return phases[i]
}

func TestTheDemonstrationAsksEveryServerThroughBothClients(t *testing.T) {
	httptestutil.CheckLeaks(t)
	needAddresses(t, demoAddresses)
	var out, errs strings.Builder
	code, err := demonstrate(t.Context(), streams{out: &out, err: &errs}, small())
	if code != exitOK || err != nil {
		t.Fatalf("exit code %d, error %v", code, err)
	}
	lines := strings.Split(out.String(), "\n")
	wantIn(t, lines[0],
		"server", "client", "requests", "failed", "wrong", "conns", "saved", "hits", "recovered", "dropped")
	for i, name := range []string{"plain", "TLS", "closes idle", "restarts", "stray bytes", "3 addresses"} {
		for j, client := range []string{"peerpool", "net/http"} {
			line := squeezed(lines[1+2*i+j])
			if !strings.HasPrefix(line, name+" "+client+" 120 ") {
				t.Errorf("line %d is %q, want 120 requests of %s to %s", 1+2*i+j, line, client, name)
			}
		}
	}
	if n := strings.Count(errs.String(), "\n"); n < 12 {
		t.Errorf("progress has %d lines, want one for each of the 12 rows:\n%s", n, errs.String())
	}
}

func TestEveryRequestOfTheDemonstrationIsAccountedFor(t *testing.T) {
	for _, r := range demoRows(t, small()) {
		if n := r.answered + r.wrong + r.failed + r.unfinished; n != 120 {
			t.Errorf("%s, %s: %d requests, want 120", r.server, r.client, n)
		}
		var texts uint64
		for _, n := range r.errors {
			texts += n
		}
		if texts != r.failed {
			t.Errorf("%s, %s: %d errors for %d failed requests", r.server, r.client, texts, r.failed)
		}
		if r.reused > r.attempts || r.attempts < 120-r.failed {
			t.Errorf("%s, %s: %d attempts, %d on used connections", r.server, r.client, r.attempts, r.reused)
		}
	}
}

func TestThroughPeerpoolNoRequestOfTheDemonstrationGetsTheAnswerToAnother(t *testing.T) {
	for _, r := range demoRows(t, small()) {
		if r.stats != nil && r.wrong > 0 {
			t.Errorf("%s: %d wrong answers", r.server, r.wrong)
		}
	}
}

func TestAtGoodServersNothingFailsAndNothingIsRetried(t *testing.T) {
	for _, r := range demoRows(t, []phase{only(t, "plain"), only(t, "TLS")}) {
		if r.answered != 120 || r.attempts != 120 || r.recovered != 0 || r.opened == 0 {
			t.Errorf("%s, %s: %d answered in %d attempts over %d connections",
				r.server, r.client, r.answered, r.attempts, r.opened)
		}
	}
}

func TestTheTraceCountsTheRetriesThatPeerpoolCounts(t *testing.T) {
	ph := only(t, "restarts")
	ph.requests, ph.manners = 600, restarting(40, 10)
	r := demoRows(t, []phase{ph})[0]
	if r.recovered != r.stats.Retries.Saved || r.recovered == 0 {
		t.Errorf("%d requests recovered by the trace, %d by Stats, want the same and some",
			r.recovered, r.stats.Retries.Saved)
	}
}

func TestARestartCostsPeerpoolItsPostsAlone(t *testing.T) {
	ph := only(t, "restarts")
	ph.requests, ph.manners = 1000, restarting(200, 4)
	rows := demoRows(t, []phase{ph})
	for _, r := range rows {
		// How many POSTs are among the requests that are held is a matter of chance. A lost POST fails with every client.
		if r.restarts != 4 || r.lost == 0 || r.failed < uint64(r.lost) {
			t.Errorf("%s: %d restarts, %d POSTs lost, %d failed, want 4, some, and at least as many as were lost: %v",
				r.client, r.restarts, r.lost, r.failed, r.errors)
		}
		if r.stats != nil && r.failed != uint64(r.lost) {
			t.Errorf("%s: %d POSTs lost, %d failed, want as many: %v", r.client, r.lost, r.failed, r.errors)
		}
	}
	wantIn(t, squeezed(demoText(rows, false)), "Each restart ends all connections that have carried a request", "restarts peerpool 4 restarts", "restarts net/http 4 restarts")
}

func TestAnAddressThatIsGoneCostsNothing(t *testing.T) {
	needAddresses(t, 3)
	ph := only(t, "3 addresses")
	ph.requests, ph.wave = 600, 300
	rows := demoRows(t, []phase{ph})
	for _, r := range rows {
		if r.failed != 0 || r.answered != 600 || len(r.served) != 3 {
			t.Errorf("%s: %d answered, %d failed, requests by address %v: %v", r.client, r.answered, r.failed, r.served, r.errors)
		}
	}
	if served := rows[0].served; slices.Min(served) == 0 {
		t.Errorf("requests by address %v, want some at each", served)
	}
	wantIn(t, squeezed(demoText(rows, false)), "Requests at each address of the host", "3 addresses peerpool", "3 addresses net/http")
}

func TestTheNamesOfTheDemonstrationTakeTurns(t *testing.T) {
	d := quietDemonstration(t)
	r := d.names.resolver()
	first := make(map[netip.Addr]int)
	for range 6 {
		addrs, err := r.LookupNetIP(t.Context(), "ip4", demoHost)
		if err != nil || len(addrs) != 3 {
			t.Fatalf("addresses %v, error %v", addrs, err)
		}
		first[addrs[0]]++
	}
	if len(first) != 3 {
		t.Errorf("first addresses %v, want each of three", first)
	}
	if _, err := r.LookupNetIP(t.Context(), "ip4", "other.test"); err == nil {
		t.Error("another host has an address")
	}
}

func TestPeerpoolDropsConnectionsWithStrayBytes(t *testing.T) {
	behind, idle := only(t, "stray bytes"), only(t, "stray bytes")
	behind.pause = nil
	idle.manners.repeatEvery = 0
	for _, c := range []struct {
		where string
		phase phase
		least uint64
	}{{"behind a response", behind, 120 / 10}, {"on an idle connection", idle, 1}} {
		r := demoRows(t, []phase{c.phase})[0]
		if r.stats.UnexpectedData < c.least || r.dropped() == "0" || r.failed > 0 {
			t.Errorf("%s: %d connections with unexpected data, %s dropped, %d failed; want at least %d dropped and none failed",
				c.where, r.stats.UnexpectedData, r.dropped(), r.failed, c.least)
		}
	}
}

func TestAnInterruptedDemonstrationPrintsWhatWasDone(t *testing.T) {
	httptestutil.CheckLeaks(t)
	ctx, interrupt := context.WithCancel(t.Context())
	phases := small()
	phases[1].wave = 40
	phases[1].pause = func(context.Context, *server, int) { interrupt() }
	var out strings.Builder
	code, err := demonstrate(ctx, streams{out: &out, err: io.Discard}, phases)
	if code != exitInterrupted || err != nil {
		t.Fatalf("exit code %d, error %v", code, err)
	}
	table := squeezed(out.String())
	wantIn(t, table, "Interrupted. What was done so far:", "plain peerpool 120", "plain net/http 120", "TLS peerpool 40")
	if strings.Contains(table, "TLS net/http") || strings.Contains(table, "stray bytes") {
		t.Errorf("what was never begun is in the table:\n%s", out.String())
	}
}

func TestAPauseEndsWithTheContext(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	idle(ctx, 24*time.Hour)
}
