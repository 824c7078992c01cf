package poolz

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/testkit"
)

// browse runs a browser, which must find no fault with the page, and returns what it prints.
func browse(t *testing.T, args ...string) string {
	t.Helper()
	browser := testkit.Installed(t, "chromium")
	ctx, cancel := context.WithTimeout(t.Context(), 6*httptestutil.Bound) // it is slow to start
	defer cancel()
	cmd := exec.CommandContext(ctx, browser, append([]string{"--headless", "--no-sandbox", "--disable-gpu",
		"--enable-logging=stderr", "--hide-scrollbars", "--user-data-dir=" + t.TempDir()}, args...)...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("chromium: %v\n%s", err, &said)
	}
	if strings.Contains(said.String(), "Content Security Policy") {
		t.Errorf("the page breaks its own policy: %s", &said)
	}
	return string(out)
}

// dump returns the document as a browser has it after it has loaded the page and run its script.
func dump(t *testing.T, url string) string {
	t.Helper()
	return browse(t, "--dump-dom", url)
}

// stat returns the number in large that has a name.
func stat(t *testing.T, dom, name string) uint64 {
	t.Helper()
	m := regexp.MustCompile(`data-stat="` + name + `"[^>]*>([^<]*)<`).FindStringSubmatch(dom)
	if m == nil {
		t.Fatalf("%s is not on the page", name)
	}
	return parsed(t, m[1])
}

func parsed(t *testing.T, text string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(strings.ReplaceAll(text, ",", ""), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// rowsOf returns the numbers of each identity by its name and the label of the number.
func rowsOf(t *testing.T, dom string) map[string]map[string]string {
	t.Helper()
	rows := make(map[string]map[string]string)
	for _, row := range regexp.MustCompile(`(?s)<tr data-id=.*?</tr>`).FindAllString(dom, -1) {
		name := regexp.MustCompile(`(?s)<a [^>]*>(.*?)</a>`).FindStringSubmatch(row)[1]
		name = regexp.MustCompile(`</?b[^>]*>`).ReplaceAllString(name, "") // around what tells identities apart
		cells := make(map[string]string)
		for _, c := range regexp.MustCompile(`data-label="([^"]*)"[^>]*>([^<]*)<`).FindAllStringSubmatch(row, -1) {
			cells[c[1]] = c[2]
		}
		rows[html.UnescapeString(name)] = cells
	}
	return rows
}

func TestABrowserShowsTheNumbersOfStats(t *testing.T) {
	s := show(t, true)
	origins := []string{newOrigin(t), newOrigin(t), newOrigin(t)}
	for i, origin := range origins {
		for range 400 * (i + 1) {
			s.visit(origin, fmt.Sprint("tenant-", i))
		}
	}
	held, err := s.RoundTrip(mustRequest(t, origins[0])) // active
	if err != nil {
		t.Fatal(err)
	}
	defer held.Body.Close()
	dom, stats := dump(t, s.url), s.Stats()
	for name, want := range map[string]uint64{
		"idle": uint64(stats.Idle), "active": uint64(stats.Active), "dialing": 0, "waiting": 0,
		"hits": stats.Hits, "misses": total(stats.Misses), "opened": stats.Opened, "dials": stats.Dials,
		"closed": total(stats.Closes), "failed": stats.DialFailures, "known": uint64(len(stats.Peers)),
	} {
		if got := stat(t, dom, name); got != want {
			t.Errorf("%s is %d on the page, %d in Stats", name, got, want)
		}
	}
	wantRows(t, s, rowsOf(t, dom), stats)
	if !regexp.MustCompile(`class="line" d="M[^"]*H`).MatchString(dom) {
		t.Error("there is no curve")
	}
}

// wantRows compares the table with a snapshot.
func wantRows(t *testing.T, s *shown, rows map[string]map[string]string, stats peerpool.Stats) {
	t.Helper()
	if len(rows) != len(stats.Peers) {
		t.Errorf("%d identities on the page, %d in Stats", len(rows), len(stats.Peers))
	}
	for _, p := range stats.Peers {
		id := p.Identity
		row := rows[id.String()]
		for label, want := range map[string]uint64{
			"Idle": uint64(p.Idle), "Active": uint64(p.Active), "Hits": p.Hits, "Misses": p.Misses, "Dials": p.Dials,
			"Failed": p.DialFailures, "Most uses": s.Conns(id)[0].Uses,
		} {
			if got := parsed(t, row[label]); got != want {
				t.Errorf("%s: %s is %d on the page, %d in Stats", id, label, got, want)
			}
		}
	}
}

func mustRequest(t *testing.T, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}
