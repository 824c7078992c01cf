package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// watched runs the demonstration with a page until stop is called, which returns its exit code. The lines of
// stderr are on the channel, which stop drains.
func watched(t *testing.T) (lines <-chan string, stop func() int) {
	t.Helper()
	ctx, interrupt := context.WithCancel(t.Context())
	r, w := io.Pipe()
	said, ended := make(chan string), make(chan int)
	go func() {
		defer close(said)
		for in := bufio.NewScanner(r); in.Scan(); {
			said <- in.Text()
		}
	}()
	go func() {
		defer w.Close()
		code, err := demonstrateOnPage(ctx, []string{"-listen", "127.0.0.1:0"}, streams{out: io.Discard, err: w}, small())
		if err != nil {
			code = exitFailed
		}
		w.Close()
		ended <- code
	}()
	return said, func() int {
		interrupt()
		for range said {
			continue
		}
		return <-ended
	}
}

// running runs the command. Its lines on stderr are on the channel, which must be drained before it ends.
func running(t *testing.T, args ...string) (<-chan string, <-chan ran) {
	t.Helper()
	r, w := io.Pipe()
	said, ended := make(chan string), make(chan ran, 1)
	go func() { // ends with the command
		defer close(said)
		for in := bufio.NewScanner(r); in.Scan(); {
			said <- in.Text()
		}
	}()
	go func() { // ends with the command
		var out strings.Builder
		code := run(t.Context(), args, streams{out: &out, err: w})
		ended <- ran{code: code, out: out.String()}
		w.Close()
	}()
	return said, ended
}

// saying returns the first line that begins with a text.
func saying(t *testing.T, lines <-chan string, text string) string {
	t.Helper()
	for line := range lines {
		if strings.HasPrefix(line, text) {
			return line
		}
	}
	t.Fatalf("nothing said %q", text)
	return ""
}

// page returns what stands at a URL.
func page(t *testing.T, url string) string {
	t.Helper()
	rt := &http.Transport{DisableKeepAlives: true}
	resp, err := newClient(rt).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d, error %v", resp.StatusCode, err)
	}
	return string(body)
}

func TestThePageIsThereDuringTheDemonstrationAndAfterIt(t *testing.T) {
	httptestutil.CheckLeaks(t)
	lines, stop := watched(t)
	url := strings.TrimPrefix(saying(t, lines, "The pool is at "), "The pool is at ")
	metrics := strings.TrimPrefix(saying(t, lines, "Its metrics are at "), "Its metrics are at ")
	saying(t, lines, "plain, net/http: 120 answered") // peerpool's connections have been closed; the next line is not read, and holds the demonstration up
	wantIn(t, page(t, url), "Hit ratio", "close_idle")
	wantIn(t, page(t, metrics), "peerpool_connections", "peerpool_")
	saying(t, lines, "The page stays")
	wantIn(t, page(t, url+"?format=json"), `"hits"`, `"identities"`)
	if code := stop(); code != exitOK {
		t.Errorf("exit code %d, want %d", code, exitOK)
	}
}

func TestWithAPageTheTableIsTheSame(t *testing.T) {
	d := quietDemonstration(t)
	d.watched = peerpool.FromHTTP(d.settings())
	rows, err := d.rows(t.Context(), []phase{only(t, "stray bytes"), only(t, "plain")})
	if err != nil {
		t.Fatal(err)
	}
	if r := rows[0]; r.stats.UnexpectedData == 0 {
		t.Error("no unexpected data in the phase with stray bytes")
	}
	if r := rows[2]; r.stats.UnexpectedData != 0 || r.stats.Closes["unexpected_data"] != 0 {
		t.Errorf("the phase after it counts %d of them again", r.stats.UnexpectedData)
	}
}

func TestABadListenAddressSaysWhatToWrite(t *testing.T) {
	for _, args := range []string{"-listen", "-listen 8080", "-listen= 127.0.0.1:0", "-listen 127.0.0.1:0 more"} {
		got := command(t.Context(), strings.Split(args, " ")...)
		wantCode(t, got, exitUsage)
		wantIn(t, got.err, "peerpool: ")
	}
	wantCode(t, command(t.Context(), "-listen", "192.0.2.1:1"), exitFailed)
}
