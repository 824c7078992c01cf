package testkit

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// Program is a program of another project that tests run. A test whose program is not installed is skipped, or fails if
// PEERPOOL_REQUIRE_SERVERS=1 is set.
type Program struct {
	Name    string
	Also    []string // other names of it
	Package string   // Debian package that brings it
	Holds   string   // what the tests hold against it
}

// Programs holds all programs that tests of this module run.
var Programs = []Program{
	{"apache2", []string{"httpd"}, "apache2", "probe: what an Apache server allows its clients"},
	{"chromium", []string{"chromium-browser", "google-chrome"}, "chromium", "the page of poolz, in light and dark, on desktop and phone"},
	{"gunicorn", nil, "gunicorn", "probe: what a gunicorn server allows its clients"},
	{"haproxy", nil, "haproxy", "reuse behind a load balancer, framing that two readers could disagree about, probe"},
	{"nghttpd", nil, "nghttp2-server", "HTTP/2 with nghttp2: streams, GOAWAY, restarts"},
	{"nginx", []string{"openresty"}, "nginx", "reuse, restarts and idle limits over HTTP/1.1 and HTTP/2, probe"},
	{"node", []string{"nodejs"}, "nodejs", "probe: what a Node server allows its clients"},
	{"prometheus", nil, "prometheus", "metrics as they are scraped, alerts in each incident"},
	{"promtool", nil, "prometheus", "the syntax of the alerts, and their own tests"},
	{"squid", nil, "squid", "requests and tunnels through a proxy"},
}

// folders holds the directories of server programs on Debian. Only root has them in the PATH.
var folders = []string{"/usr/sbin", "/usr/local/sbin"}

// Path returns the path of the program, or an error if it is not installed.
func (p Program) Path() (string, error) {
	for _, name := range append([]string{p.Name}, p.Also...) {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
		for _, folder := range folders {
			if path, err := exec.LookPath(filepath.Join(folder, name)); err == nil {
				return path, nil
			}
		}
	}
	return "", fmt.Errorf("%s is not installed: it is for %s; to install it on Debian or Ubuntu: apt-get install %s", p.Name, p.Holds, p.Package)
}

// Installed returns the path of a program in Programs. If it is not installed, it ends the test.
func Installed(t testing.TB, name string) string {
	t.Helper()
	i := slices.IndexFunc(Programs, func(p Program) bool { return p.Name == name })
	if i < 0 {
		t.Fatalf("testkit.Programs does not list %s", name)
	}
	path, err := Programs[i].Path()
	if err != nil {
		Missing(t, err.Error())
	}
	return path
}

// Missing skips a test that needs a program, or fails it if PEERPOOL_REQUIRE_SERVERS=1 is set.
func Missing(t testing.TB, text string) {
	t.Helper()
	if os.Getenv("PEERPOOL_REQUIRE_SERVERS") == "1" {
		t.Fatalf("PEERPOOL_REQUIRE_SERVERS=1, and %s", text)
	}
	t.Skip(text)
}

// NotInstalled returns a line for each program that is not installed, and one that says how to install all of them.
func NotInstalled() []string {
	var lines, packages []string
	for _, p := range Programs {
		if _, err := p.Path(); err != nil {
			lines = append(lines, fmt.Sprintf("%-10s  not held against it: %s", p.Name, p.Holds))
			packages = append(packages, p.Package)
		}
	}
	if len(lines) == 0 {
		return nil
	}
	slices.Sort(packages)
	how := "to install them on Debian or Ubuntu: apt-get install --no-install-recommends "
	if runtime.GOOS != "linux" {
		how = "these are their packages on Debian: "
	}
	return append(lines, how+strings.Join(slices.Compact(packages), " "))
}
