package main

import (
	"context"
	"crypto/tls"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5"
	gitconfig "github.com/go-git/go-git/v5/config"
	gitclient "github.com/go-git/go-git/v5/plumbing/transport/client"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	"github.com/go-git/go-git/v5/storage/memory"

	"github.com/peerpool/peerpool"
)

func TestMain(m *testing.M) {
	os.Unsetenv("AWS_CA_BUNDLE") // with which the AWS SDK refuses an HTTP client
	os.Exit(m.Run())
}

// newTransport returns what a program would use, and the service that it talks to.
func newTransport(t *testing.T) (*peerpool.Transport, *service) {
	t.Helper()
	s := startService()
	t.Cleanup(s.Close)
	tr := peerpool.New()
	tr.TLSClientConfig = &tls.Config{RootCAs: s.roots()}
	t.Cleanup(tr.CloseIdleConnections)
	return tr, s
}

// wantUsed makes calls, and fails the test unless all their requests have come through tr.
func wantUsed(t *testing.T, tr *peerpool.Transport, s *service, do func(context.Context) error) {
	t.Helper()
	for range 3 {
		if err := do(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	stats := tr.Stats()
	misses := uint64(0)
	for _, n := range stats.Misses {
		misses += n
	}
	if served := stats.Hits + misses; served != uint64(s.requests.Load()) || served < 3 {
		t.Errorf("the Transport has served %d requests, the service %d", served, s.requests.Load())
	}
	if stats.Opened != 1 {
		t.Errorf("%d connections were opened, want 1", stats.Opened)
	}
}

func TestEachSDKSendsItsRequestsThroughTheTransport(t *testing.T) {
	for sdk, makeCall := range sdks {
		t.Run(sdk, func(t *testing.T) {
			tr, s := newTransport(t)
			do, err := makeCall(tr, s)
			if err != nil {
				t.Fatal(err)
			}
			wantUsed(t, tr, s, do)
		})
	}
}

func TestEachSDKOfTheDocumentIsHere(t *testing.T) {
	text, err := os.ReadFile("../../docs/migration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## SDKs\n")
	section, _, _ = strings.Cut(section, "\n## ")
	if !found {
		t.Fatal("docs/migration.md has no section about SDKs")
	}
	var named []string
	for _, row := range regexp.MustCompile(`(?m)^\| \[([^\]]+)\]\(../examples/sdks\) \|`).FindAllStringSubmatch(section, -1) {
		named = append(named, row[1])
	}
	slices.Sort(named)
	if have := slices.Sorted(maps.Keys(sdks)); !slices.Equal(named, have) {
		t.Errorf("the document names %q, and here are %q", named, have)
	}
}

func TestAllSDKsTogether(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	for sdk := range sdks {
		if !strings.Contains(out.String(), sdk) {
			t.Errorf("nothing is said of %s", sdk)
		}
	}
	if !strings.Contains(out.String(), " connections\n") {
		t.Errorf("the output is %s", &out)
	}
}

func TestRestysMethodsForTLSWorkOnAFront(t *testing.T) {
	_, s := newTransport(t)
	tr := peerpool.New()
	defer tr.CloseIdleConnections()
	do, err := restyWithTLS(tr, s)
	if err != nil {
		t.Fatal(err)
	}
	wantUsed(t, tr, s, do)
}

func TestADockerDaemonAtAUnixSocket(t *testing.T) {
	ln, err := net.Listen("unix", t.TempDir()+"/docker.sock")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.44")
		io.WriteString(w, "OK")
	})}
	go server.Serve(ln)
	defer server.Close()
	tr := peerpool.New()
	defer tr.CloseIdleConnections()
	do, err := unixDocker(tr, ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := do(t.Context()); err != nil {
		t.Fatal(err)
	}
	if stats := tr.Stats(); stats.Opened != 1 {
		t.Errorf("the Transport has opened %d connections, want 1", stats.Opened)
	}
}

// TestOptionsOfAnEndpointAreNotDroppedInSilence: go-git sends its requests through a Clone then.
func TestOptionsOfAnEndpointAreNotDroppedInSilence(t *testing.T) {
	tr, s := newTransport(t)
	gitclient.InstallProtocol("https", githttp.NewClient(&http.Client{Transport: tr.HTTPTransport()}))
	origin := git.NewRemote(memory.NewStorage(), &gitconfig.RemoteConfig{Name: "origin", URLs: []string{s.URL + "/git"}})
	_, err := origin.ListContext(t.Context(), &git.ListOptions{InsecureSkipTLS: true})
	if err == nil || !strings.Contains(err.Error(), "goes past the peerpool.Transport") {
		t.Errorf("the error is %v, want one that says what the matter is", err)
	}
}
