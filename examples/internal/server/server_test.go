package server

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain lets the test binary be the server of its tests.
func TestMain(m *testing.M) {
	switch os.Getenv("PEERPOOL_EXAMPLE_SERVER") {
	case "":
		os.Exit(m.Run())
	case "broken":
		os.Stderr.WriteString("no such configuration\n")
		os.Exit(3)
	default:
		os.Stdout.WriteString("ready\n")
		select {}
	}
}

// command returns a command that runs this binary as a server of a kind.
func command(t *testing.T, kind string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "PEERPOOL_EXAMPLE_SERVER="+kind)
	return cmd
}

func TestAServerRunsUntilItIsStopped(t *testing.T) {
	var p *Process
	cmd := command(t, "good")
	p, err := Start(t.Context(), cmd, func(context.Context) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.exited:
		t.Fatalf("it ended by itself: %v", p.exit)
	default:
	}
	p.Stop()
	if cmd.ProcessState == nil {
		t.Error("Stop returned before the server had ended")
	}
	p.Stop() // a second time is harmless
}

func TestAServerThatEndsBeforeItIsReadySaysWhy(t *testing.T) {
	_, err := Start(t.Context(), command(t, "broken"), Listening("127.0.0.1:1"))
	if err == nil || !strings.Contains(err.Error(), "no such configuration") {
		t.Errorf("%v", err)
	}
}

func TestTheWaitForAServerEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cmd := command(t, "good")
	_, err := Start(ctx, cmd, func(context.Context) error {
		cancel()
		return errors.New("not yet")
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if cmd.ProcessState == nil {
		t.Error("the server was left running")
	}
}

func TestOnlyAnOKIsAnAnswer(t *testing.T) {
	status := http.StatusServiceUnavailable
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	defer s.Close()
	ready := Answering(s.URL)
	if err := ready(t.Context()); err == nil {
		t.Error("503 was taken for an answer")
	}
	status = http.StatusOK
	if err := ready(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAProgramThatIsMissingSaysWhatToInstall(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("GOBIN", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	for _, c := range []struct {
		program Program
		want    string
	}{
		{Program{Name: "a", Module: "example.com/a@v1"}, "a is not installed: go install example.com/a@v1"},
		{Program{Name: "b", Package: "b-server"}, "b is not installed: apt-get install --no-install-recommends b-server"},
	} {
		_, err := c.program.Find()
		var missing *MissingError
		if !errors.As(err, &missing) || err.Error() != c.want {
			t.Errorf("%v instead of %s", err, c.want)
		}
	}
}

func TestAProgramThatGoHasInstalledIsFound(t *testing.T) {
	bin := t.TempDir()
	t.Setenv("PATH", t.TempDir())
	t.Setenv("GOBIN", bin)
	path := filepath.Join(bin, "tool")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := (Program{Name: "tool"}).Find(); err != nil || got != path {
		t.Errorf("%q, %v", got, err)
	}
}

func TestOfALongOutputTheEndIsKept(t *testing.T) {
	var o output
	for range 100 {
		if _, err := o.Write([]byte(strings.Repeat("x", 1000))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := o.Write([]byte("the end")); err != nil {
		t.Fatal(err)
	}
	if s := o.String(); len(s) > 16<<10 || !strings.HasSuffix(s, "xthe end") {
		t.Errorf("%d bytes", len(s))
	}
}
