package docs_test

import (
	"go/types"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var qualified = regexp.MustCompile("`([A-Za-z]\\w*)\\.([A-Z]\\w*)")

// A name in backquotes with a dot in it is that of a package and what it exports, or of a type of package peerpool
// and its field or method.
func TestEveryNameInBackquotesExists(t *testing.T) {
	imports := importPackages(t)
	root, err := imports.Import(module)
	if err != nil {
		t.Fatal(err)
	}
	names := 0
	for _, doc := range documents(t) {
		for _, m := range qualified.FindAllStringSubmatch(doc.prose, -1) {
			first, second := m[1], m[2]
			if obj := root.Scope().Lookup(first); obj != nil {
				names++
				if found, _, _ := types.LookupFieldOrMethod(types.NewPointer(obj.Type()), true, root, second); found == nil {
					t.Errorf("%s: %s has no %s", doc.path, first, second)
				}
				continue
			}
			path, known := packages[first]
			if !known {
				continue // net/http's Transport.MaxIdleConns and the like are ours too; others are not ours to check
			}
			names++
			if pkg, err := imports.Import(path); err != nil || pkg.Scope().Lookup(second) == nil {
				t.Errorf("%s: package %s has no %s (%v)", doc.path, first, second, err)
			}
		}
	}
	if names < 20 {
		t.Errorf("found %d names, which cannot be all", names)
	}
}

var (
	pathWord = regexp.MustCompile(`^(\./\S*|\.\./\S*)$`)
	flagWord = regexp.MustCompile(`^-([a-z]\w*)$`)
)

// A command is run in the root of the repository unless it begins with a cd.
func TestEveryCommandNamesWhatThereIs(t *testing.T) {
	commands := 0
	for _, doc := range documents(t) {
		for _, b := range doc.blocks {
			if b.language != "sh" {
				continue
			}
			for line := range strings.Lines(b.text) {
				line, _, _ = strings.Cut(line, "#")
				if line = strings.TrimSpace(line); line != "" {
					commands++
					checkCommand(t, doc.path, line)
				}
			}
		}
	}
	if commands < 5 {
		t.Errorf("found %d commands, which cannot be all", commands)
	}
}

func checkCommand(t *testing.T, where, line string) {
	t.Helper()
	dir := ".."
	if to, rest, ok := strings.Cut(line, " && "); ok && strings.HasPrefix(to, "cd ") {
		dir, line = filepath.Join(dir, strings.TrimPrefix(to, "cd ")), rest
	}
	words := strings.Fields(line)
	program := "" // whose flags follow
	for _, word := range words {
		switch {
		case word == "." && len(words) > 2:
			program = dir
		case pathWord.MatchString(word):
			program = filepath.Join(dir, strings.TrimSuffix(word, "..."))
			if _, err := os.Stat(program); err != nil {
				t.Errorf("%s: %q: %v", where, line, err)
			}
		case flagWord.MatchString(word) && program != "" && words[1] == "run":
			if name := flagWord.FindStringSubmatch(word)[1]; !mentions(t, program, `"`+name+`"`) {
				t.Errorf("%s: %q: the program has no flag -%s", where, line, name)
			}
		}
	}
}

// mentions says whether a Go file of a directory, tests left out, contains text.
func mentions(t *testing.T, dir, text string) bool {
	t.Helper()
	found := false
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || found || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		found = strings.Contains(string(source), text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

func TestEveryLinkLeadsSomewhere(t *testing.T) {
	all := documents(t)
	headings := make(map[string]map[string]bool)
	for _, doc := range all {
		headings[doc.path] = doc.headings
	}
	for _, doc := range all {
		for _, m := range link.FindAllStringSubmatch(doc.prose, -1) {
			target, fragment, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			path := doc.path
			if target != "" {
				path = filepath.ToSlash(filepath.Join(filepath.Dir(doc.path), target))
			}
			if _, err := os.Stat(filepath.Join("..", path)); err != nil {
				t.Errorf("%s: %v", doc.path, err)
			}
			if known, isDocument := headings[path]; isDocument && fragment != "" && !known[fragment] {
				t.Errorf("%s: %s has no heading #%s", doc.path, path, fragment)
			}
		}
	}
}

var namedTest = regexp.MustCompile("`(Test[A-Z]\\w+)`")

func TestEveryTestThatADocumentNamesExists(t *testing.T) {
	declared := make(map[string]bool)
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(string(source), -1) {
			declared[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range documents(t) {
		for _, m := range namedTest.FindAllStringSubmatch(doc.prose, -1) {
			if !declared[m[1]] {
				t.Errorf("%s names %s, and there is no such test", doc.path, m[1])
			}
		}
	}
}
