package main

import (
	"bytes"
	"cmp"
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// edit replaces text[start:end] of a file. If start and end are equal, it inserts text.
type edit struct {
	start, end int
	text       string
}

func (r *rewriter) insert(at token.Pos, text string) { r.edit(span{at, at}, text) }

func (r *rewriter) replace(s span, text string) {
	r.edit(s, text)
	r.vanished = append(r.vanished, s)
}

func (r *rewriter) edit(s span, text string) {
	f := r.suite.file(s.start)
	r.edits[f] = append(r.edits[f], edit{r.suite.offset(s.start), r.suite.offset(s.end), text})
}

// cut removes the statements from a function's body, but keeps its line ends.
func (r *rewriter) cut(body *ast.BlockStmt) {
	text := r.suite.file(body.Pos()).text[r.suite.offset(body.Lbrace):r.suite.offset(body.Rbrace)]
	lines := strings.Repeat("\n", bytes.Count(text, []byte("\n")))
	r.replace(span{body.Lbrace, body.Rbrace + 1}, `{ panic("left out")`+lines+"}")
}

// apply returns the text after all edits. If several edits start at the same place, insertions come first, in the order in
// which they were made. Edits inside a replaced range are dropped.
func apply(text []byte, edits []edit) []byte {
	sorted := slices.Clone(edits)
	slices.SortStableFunc(sorted, func(a, b edit) int {
		aInserts, bInserts := a.start == a.end, b.start == b.end
		switch {
		case a.start != b.start:
			return cmp.Compare(a.start, b.start)
		case aInserts && bInserts:
			return 0
		case aInserts:
			return -1
		case bInserts:
			return +1
		}
		return cmp.Compare(b.end, a.end) // the wider one comes first
	})
	var out []byte
	done := 0
	for _, e := range sorted {
		if e.start < done {
			continue
		}
		out = append(append(out, text[done:e.start]...), e.text...)
		done = e.end
	}
	return append(out, text[done:]...)
}
