package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/peerpool/peerpool"
)

func TestTheTableOfRetriesHasEveryReason(t *testing.T) {
	text := documentAt(t, "docs/retries.md").prose
	for _, reason := range peerpool.RetryReasons() {
		if !strings.Contains(text, "| `"+string(reason)+"` |") {
			t.Errorf("%q has no row: add one to the table of docs/retries.md, with its condition and its bound", reason)
		}
	}
}

// cited are figures in documents that come from constants in the code, each with its place in both.
var cited = []struct{ document, text, source, constant string }{
	{"README.md", "zero means 64", "transport.go", "defaultMaxIdleConnsPerHost = 64"},
	{"README.md", "256 KiB and 50 ms at most", "internal/http1/drain.go", "maxDrain  = 256 << 10"},
	{"README.md", "256 KiB and 50 ms at most", "internal/http1/drain.go", "drainWait = 50 * time.Millisecond"},
	{"README.md", "`Close` waits for that 10 ms at most", "internal/http1/drain.go", "closeWait = 10 * time.Millisecond"},
	{"docs/settings.md", "a `DNSRefresh` of zero means 30 seconds", "transport.go", "defaultDNSRefresh          = 30 * time.Second"},
	{"docs/settings.md", "nine tenths", "conn_http1.go", "*time.Second*9/10"},
	{"docs/settings.md", "at most 2 minutes", "dialer.go", "maxDial     = 2 * time.Minute"},
	{"docs/settings.md", "30 s to connect", "dialer.go", "dialTimeout = 30 * time.Second"},
	{"docs/settings.md", "a minute for a proxy", "proxy.go", "proxyTimeout = time.Minute"},
	{"docs/settings.md", "`HTTP2.SendPingTimeout` (zero: 15 s)", "internal/http2/engine.go", "defaultPingAfter   = 15 * time.Second"},
	{"docs/settings.md", "`HTTP2.PingTimeout` (zero: 15 s)", "internal/http2/engine.go", "defaultPingTimeout = 15 * time.Second"},
	{"docs/retries.md", "for 100 milliseconds. Then the body is closed", "internal/exchange/body.go", "ReadWait = 100 * time.Millisecond"},
	{"docs/differences.md", "waiting for 100 milliseconds at most", "internal/exchange/body.go", "ReadWait = 100 * time.Millisecond"},
	{"docs/retries.md", "could be made on them | 3 together", "retry.go", "maxAttempts = 3"},
	{"docs/retries.md", "(NO_ERROR) | 8 together", "retry.go", "maxTurns = 8"},
	{"docs/retries.md", "before the third for 50 ms", "retry.go", "firstPause = 50 * time.Millisecond"},
	{"docs/retries.md", "The third attempt dials", "retry.go", "maxAttempts = 3"},
	{"docs/retries.md", "The eighth is made on a connection that no other request shares", "retry.go", "number == maxTurns"},
	{"docs/retries.md", "up to eight times", "retry.go", "maxTurns = 8"},
	{"docs/differences.md", "three attempts in all", "retry.go", "maxAttempts = 3"},
	{"docs/differences.md", "eight if the server goes away gracefully", "retry.go", "maxTurns = 8"},
	{"docs/troubleshooting.md", "every 30 seconds", "dialer.go", "tcpKeepAlive = 30 * time.Second"},
}

func TestFiguresAreThoseOfTheCode(t *testing.T) {
	for _, c := range cited {
		if !strings.Contains(unwrapped(documentAt(t, c.document).text), c.text) {
			t.Errorf("%s does not say %q any more", c.document, c.text)
		}
		source, err := os.ReadFile(filepath.Join("..", c.source))
		if err != nil {
			t.Error(err)
		} else if !strings.Contains(string(source), c.constant) {
			t.Errorf("%s says %q, but %s does not say %q any more", c.document, c.text, c.source, c.constant)
		}
	}
}

// unwrapped returns a text without its line ends, which move as it is edited.
func unwrapped(text string) string { return strings.Join(strings.Fields(text), " ") }

var snake = regexp.MustCompile("`([a-z]+(?:_[a-z0-9]+)+)`")

// A word_like_this in backquotes is a reason, a metric, or a directory. The tables of observability.md, which has
// attributes besides, have tests of their own.
func TestEveryReasonInBackquotesExists(t *testing.T) {
	known := map[string]bool{"httptest_util": true}
	for _, reason := range peerpool.CloseReasons() {
		known[string(reason)] = true
	}
	for _, reason := range peerpool.RetryReasons() {
		known[string(reason)] = true
	}
	metrics := documentAt(t, "docs/observability.md").prose
	for _, doc := range documents(t) {
		if doc.path == "docs/observability.md" || doc.path == "CHANGELOG.md" {
			continue
		}
		for _, m := range snake.FindAllStringSubmatch(doc.prose, -1) {
			if word := m[1]; !known[word] && !(strings.HasPrefix(word, "peerpool_") && strings.Contains(metrics, m[0])) {
				t.Errorf("%s: there is no %s", doc.path, word)
			}
		}
	}
}

func documentAt(t *testing.T, path string) document {
	t.Helper()
	for _, doc := range documents(t) {
		if doc.path == path {
			return doc
		}
	}
	t.Fatalf("there is no %s", path)
	return document{}
}
