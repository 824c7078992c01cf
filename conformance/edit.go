package main

import (
	"bytes"
	"cmp"
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// edit replaces text[start:end] of a file; with start == end it inserts.
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

// cut takes the statements out of a function's body and leaves its lines.
func (r *rewriter) cut(body *ast.BlockStmt) {
	text := r.suite.file(body.Pos()).text[r.suite.offset(body.Lbrace):r.suite.offset(body.Rbrace)]
	lines := strings.Repeat("\n", bytes.Count(text, []byte("\n")))
	r.replace(span{body.Lbrace, body.Rbrace + 1}, `{ panic("left out")`+lines+"}")
}

// apply returns the text after all edits. Of those that start at one place insertions come first, in the order they
// were made; edits within a replaced range are lost with it.
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
		return cmp.Compare(b.end, a.end) // the wider one
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
