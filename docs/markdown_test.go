// Package docs_test holds the documents of the repository against its code: every block of Go compiles, every command
// names what there is, every name in backquotes exists, every link leads somewhere.
package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// document is a Markdown file.
type document struct {
	path     string // relative to the root of the repository
	text     string
	prose    string // text, with its blocks as empty lines
	blocks   []block
	headings map[string]bool // as links name them
}

// block is a fenced piece of a document.
type block struct {
	line     int
	language string // "go", "sh", or what else stands behind the fence
	given    string // Go declarations that it takes for granted: <!-- given: ... --> above it
	from     string // file that it quotes in full: <!-- from: ... --> above it
	text     string
}

// documents reads the documents about the package. Those of its parts, such as bench, are not included.
func documents(t *testing.T) []document {
	t.Helper()
	var paths []string
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		found, err := filepath.Glob(filepath.Join("..", pattern))
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	var all []document
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, parse(t, filepath.ToSlash(strings.TrimPrefix(path, ".."+string(filepath.Separator))), string(text)))
	}
	return all
}

var (
	given   = regexp.MustCompile(`^<!-- given: (.*) -->$`)
	quoted  = regexp.MustCompile(`^<!-- from: (.*) -->$`)
	heading = regexp.MustCompile(`^#+ +(.*)$`)
)

// parse finds blocks and headings.
func parse(t *testing.T, path, text string) document {
	t.Helper()
	doc := document{path: path, text: text, headings: make(map[string]bool)}
	var open *block
	var lines []string
	granted, from := "", ""
	for i, line := range strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n") {
		fence := strings.HasPrefix(line, "```")
		switch {
		case fence && open == nil:
			open = &block{line: i + 1, language: strings.TrimPrefix(line, "```"), given: granted, from: from}
			granted, from = "", ""
		case fence:
			doc.blocks = append(doc.blocks, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		default:
			if m := given.FindStringSubmatch(line); m != nil {
				granted = m[1]
			}
			if m := quoted.FindStringSubmatch(line); m != nil {
				from = m[1]
			}
			if m := heading.FindStringSubmatch(line); m != nil {
				doc.headings[anchor(m[1])] = true
			}
			lines = append(lines, line)
			continue
		}
		lines = append(lines, "")
	}
	if open != nil {
		t.Fatalf("%s:%d: the block is not closed", path, open.line)
	}
	doc.prose = strings.Join(lines, "\n")
	return doc
}

var notInAnchors = regexp.MustCompile(`[^\p{L}\p{N} _-]`)

// anchor returns a heading as a link names it.
func anchor(title string) string {
	return strings.ReplaceAll(notInAnchors.ReplaceAllString(strings.ToLower(title), ""), " ", "-")
}
