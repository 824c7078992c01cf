package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
)

// TestMain lets the test binary stand for the command: see signal_unix_test.go.
func TestMain(m *testing.M) {
	switch os.Getenv(actAs) {
	case "command":
		main()
	case "lingerer":
		linger()
	}
	os.Exit(m.Run())
}

const actAs = "PEERPOOL_TEST_ACT_AS"

// ran is what a run of the command left behind.
type ran struct {
	code     int
	out, err string
}

// command runs the command with args until ctx ends.
func command(ctx context.Context, args ...string) ran {
	var out, errs strings.Builder
	code := run(ctx, args, streams{out: &out, err: &errs})
	return ran{code, out.String(), errs.String()}
}

func wantIn(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in:\n%s", part, text)
		}
	}
}

func wantCode(t *testing.T, got ran, code int) {
	t.Helper()
	if got.code != code {
		t.Errorf("exit code %d, want %d; stderr: %s", got.code, code, got.err)
	}
}

func TestBadArgumentsSayOnOneLineWhatToWriteInstead(t *testing.T) {
	for _, c := range []struct{ args, says string }{
		{"gett", `unknown command "gett": the commands are get, probe and soak, or none for the demonstration`},
		{"-n 5", `unknown command "-n": the commands are get, probe and soak, or none for the demonstration`},
		{"http://h/", `no command given: write "peerpool get URL" or "peerpool probe URL"`},
		{"get", `no URL given: write "peerpool get http://HOST/PATH"`},
		{"get -n 0 http://h/", `invalid value "0" for flag -n: write a whole number from 1 on, as in -n 100`},
		{"get -n many http://h/", `invalid value "many" for flag -n: write a whole number`},
		{"get -c -3 http://h/", `invalid value "-3" for flag -c: write a whole number from 1 on, as in -c 8`},
		{"get http://h/ -n", `flag needs an argument: -n: write "peerpool help"`},
		{"get -n 1 http://a/ http://b/", `-n 1 leaves URLs out: write -n 2 or more, or fewer URLs`},
		{"get -json=perhaps http://h/", `-json: parse error: write "peerpool help"`},
		{"get -timeout 5 http://h/", `for flag -timeout: write a duration with its unit, as in -timeout 500ms`},
		{"get -timeout -5s http://h/", `for flag -timeout: write a duration with its unit`},
		{"get -verbose http://h/", `unknown flag -verbose: write "peerpool help"`},
		{"get localhost:8080/x", `"localhost:8080/x" has no scheme: write http://localhost:8080/x or https://localhost:8080/x`},
		{"get http://h/ ftp://h/", `"ftp://h/" has the scheme "ftp": write http://HOST:PORT/PATH`},
		{"get http://h:port/", `"http://h:port/" is not a URL: write http://HOST:PORT/PATH`},
		{"get -listen 8080 http://h/", `-listen takes an address and a port: write -listen 127.0.0.1:8080`},
		{"get -resolve h=a http://h/", `for flag -resolve: write a host and its IP addresses, as in -resolve api.test=127.0.0.1`},
		{"get -resolve h:80=127.0.0.1 http://h/", `for flag -resolve: write a host and its IP addresses, as in -resolve api.test=127.0.0.1`},
		{"get -balance even http://h/", `for flag -balance: write none, round-robin or least-requests`},
		{"get http:///path", `"http:///path" has no host: write http://HOST:PORT/PATH`},
		{"probe", `0 URLs given: write "peerpool probe http://HOST/PATH"`},
		{"probe http://a/ http://b/", `2 URLs given: write "peerpool probe http://HOST/PATH"`},
		{"probe -max-wait 5 http://h/", `for flag -max-wait: write a duration with its unit, as in -max-wait 90s`},
		{"probe -max-requests 0 http://h/", `for flag -max-requests: write a whole number from 1 on`},
		{"get -H NoColon http://h/", `-H 'NoColon' is not a header field: write -H 'Name: value'`},
		{"get -H bad(name:v http://h/", `-H 'bad...' is not a header field: write -H 'Name: value'`},
		{"get -H Name:a\x01b http://h/", `the value of -H 'Name: ...' has a control character in it`},
	} {
		got := command(t.Context(), strings.Split(c.args, " ")...)
		if got.code != exitUsage || got.out != "" {
			t.Errorf("%q: exit code %d, output %q; want %d and none", c.args, got.code, got.out, exitUsage)
		}
		if !strings.HasPrefix(got.err, "peerpool: ") || !strings.Contains(got.err, c.says) {
			t.Errorf("%q says %q, want %q", c.args, got.err, c.says)
		}
		if strings.Count(got.err, "\n") != 1 {
			t.Errorf("%q: not one line: %q", c.args, got.err)
		}
	}
}

func TestBadArgumentsShowNoSecret(t *testing.T) {
	for _, args := range [][]string{
		{"get", "-H", "Authorization s3cret", "http://h/"},
		{"get", "-H", "Authorization: s3cret\x01", "http://h/"},
		{"get", "-H", "s3cret", "http://h/"},
		{"get", "ftp://h/?token=s3cret"},
		{"get", "h/?token=s3cret"},
		{"get", "-HAuthorization: s3cret", "http://h/"},
		{"get", "-Hs3cret", "http://h/"},
		{"get", "-H=s3cret", "http://h/"},
		{"get", "user:s3cret@h/"},
		{"get", "ftp://user:s3cret@h/"},
		{"get", "http://user:s3cret%zz@h/"},
		{"get", "http://user:s3cret/@h/"},
		{"user:s3cret@h"},
		{"http://user:s3cret@h/"},
		{"token=s3cret"},
	} {
		got := command(t.Context(), args...)
		if got.code != exitUsage {
			t.Errorf("%q: exit code %d, want %d", args, got.code, exitUsage)
		}
		if strings.Contains(got.err+got.out, "s3cret") {
			t.Errorf("%q shows what should not be seen: %s", args, got.err)
		}
	}
}

func TestHelpIsNoError(t *testing.T) {
	for _, args := range []string{"help", "-h", "--help", "get -h", "get -help http://h/"} {
		got := command(t.Context(), strings.Fields(args)...)
		if got.code != exitOK || got.out != usage || got.err != "" {
			t.Errorf("%q: exit code %d, stdout %q, stderr %q", args, got.code, got.out, got.err)
		}
	}
}

// full is a disk with no room left.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestAReportThatCannotBeWrittenIsAFailure(t *testing.T) {
	var errs strings.Builder
	code := run(t.Context(), []string{"help"}, streams{out: full{}, err: &errs})
	if code != exitFailed || !strings.Contains(errs.String(), "no space left") {
		t.Errorf("exit code %d, stderr %q", code, errs.String())
	}
}
