package testkit

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestRealServers says against which programs the other tests were not held. With -v, go test shows that.
func TestRealServers(t *testing.T) {
	if missing := NotInstalled(); len(missing) > 0 {
		Missing(t, "tests were skipped, as some programs are not installed:\n"+strings.Join(missing, "\n"))
	}
	t.Log("all programs that tests run are installed")
}

func TestAProgramThatIsNotInstalledSaysWhatItIsForAndHowToGetIt(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	folders = nil
	t.Cleanup(func() { folders = []string{"/usr/sbin", "/usr/local/sbin"} })
	lines := strings.Join(NotInstalled(), "\n")
	for _, p := range Programs {
		_, err := p.Path()
		if err == nil || !strings.Contains(err.Error(), p.Holds) || !strings.Contains(err.Error(), "apt-get install "+p.Package) {
			t.Errorf("%s: %v", p.Name, err)
		}
		if !strings.Contains(lines, p.Name) || !strings.Contains(lines, p.Package) {
			t.Errorf("%s is not in:\n%s", p.Name, lines)
		}
	}
}

func TestProgramsOfServersAreFoundWithoutRootsPath(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "server-1"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	was := folders
	folders = []string{dir}
	t.Cleanup(func() { folders = was })
	if path, err := (Program{Name: "server", Also: []string{"server-1"}}).Path(); err != nil || filepath.Dir(path) != dir {
		t.Errorf("path %q, error %v", path, err)
	}
}

func TestTheContributorsTableAndTheScriptOfCIKnowEveryProgram(t *testing.T) {
	table, script := text(t, "../../CONTRIBUTING.md"), text(t, "../../.ci/run")
	installs := regexp.MustCompile(`servers=\((.*)\)`).FindStringSubmatch(script)
	if installs == nil {
		t.Fatal(".ci/run installs nothing")
	}
	for _, p := range Programs {
		if row := "| `" + p.Name + "` | `" + p.Package + "` | " + p.Holds + " |"; !strings.Contains(table, row) {
			t.Errorf("CONTRIBUTING.md lacks the row\n%s", row)
		}
		if !strings.Contains(" "+installs[1]+" ", " "+p.Package+" ") {
			t.Errorf(".ci/run does not install %s", p.Package)
		}
	}
}

func text(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
