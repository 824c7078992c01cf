package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-git/go-git/v5"
	gitconfig "github.com/go-git/go-git/v5/config"
	gitclient "github.com/go-git/go-git/v5/plumbing/transport/client"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	"github.com/go-git/go-git/v5/storage/memory"
	"github.com/hashicorp/go-retryablehttp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

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

// With such options, go-git sends its requests through a Clone.
func TestOptionsOfAnEndpointAreNotDroppedInSilence(t *testing.T) {
	tr, s := newTransport(t)
	gitclient.InstallProtocol("https", githttp.NewClient(&http.Client{Transport: tr.HTTPTransport()}))
	origin := git.NewRemote(memory.NewStorage(), &gitconfig.RemoteConfig{Name: "origin", URLs: []string{s.URL + "/git"}})
	_, err := origin.ListContext(t.Context(), &git.ListOptions{InsecureSkipTLS: true})
	if err == nil || !strings.Contains(err.Error(), "goes past the peerpool.Transport") {
		t.Errorf("the error is %v, want one that says what the matter is", err)
	}
}

// go-retryablehttp recognizes the error by its type.
func TestAWrongCertificateIsNotTriedAgain(t *testing.T) {
	_, s := newTransport(t)
	tr := peerpool.New() // does not trust it
	defer tr.CloseIdleConnections()
	client := retryablehttp.NewClient()
	client.Logger, client.HTTPClient = nil, peerpool.NewClient(tr)
	client.RetryWaitMin, client.RetryWaitMax = time.Millisecond, time.Millisecond
	_, err := client.Get(s.URL)
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok {
		t.Fatalf("the error is %v", err)
	}
	if stats := tr.Stats(); stats.Dials != 1 {
		t.Errorf("the certificate was looked at %d times, want once", stats.Dials)
	}
}

// client-go compares the error with io.EOF by "==".
func TestAWatchThatFindsItsConnectionEndedIsTriedAgain(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) < 3 {
			panic(http.ErrAbortHandler) // no answer
		}
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"type":"ADDED","object":{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"a"}}}`+"\n")
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	defer server.Close()
	tr := peerpool.New()
	defer tr.CloseIdleConnections()
	client, err := dynamic.NewForConfig(&rest.Config{Host: server.URL, Transport: tr, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	watch, err := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}).Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	if event, ok := <-watch.ResultChan(); !ok || event.Type != "ADDED" {
		t.Errorf("the first event is %v", event)
	}
	if n := asked.Load(); n != 3 {
		t.Errorf("the server was asked %d times, want 3", n)
	}
}
