package main

import (
	"strings"
	"unicode/utf8"
)

// table holds rows of cells. The first columns are aligned on the left, the others, which hold numbers, on the right.
type table struct {
	texts int  // columns of text
	note  bool // the last column holds text too
	rows  [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// text returns the table with aligned columns. Each line begins with indent.
func (t *table) text(indent string) string {
	var widths []int
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range t.rows {
		var line strings.Builder
		for i, cell := range row {
			gap := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			switch {
			case i < t.texts || t.note && i == len(widths)-1:
				line.WriteString(cell + gap + "  ")
			default:
				line.WriteString(gap + cell + "  ")
			}
		}
		b.WriteString(indent + strings.TrimRight(line.String(), " ") + "\n")
	}
	return b.String()
}
