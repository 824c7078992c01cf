package main

import (
	"fmt"
	"slices"
	"strings"
)

// The measures of the README's picture, in pixels.
const (
	costWidth  = 760
	costLeft   = 130 // where the bars begin
	costRight  = 690 // where a bar of ratio 1 ends
	costBar    = 16
	costStep   = 23
	costTitle  = 34 // from one panel's last bar to the next one's title
	costMargin = 56 // above the first title
)

// costPanels are the comparisons that the picture shows.
var costPanels = []published{
	{"requests", "GET, 16 callers", "HTTP/1.1, 16 callers"},
	{"requests", "GET, TLS 1.3, 16 callers", "HTTP/1.1 over TLS 1.3, 16 callers"},
	{"http2", "GET, 128 callers", "HTTP/2, 128 callers"},
}

// costStyle follows the reader's choice of light or dark.
const costStyle = `<style>
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600 }
.head { font-size: 15px; font-weight: 600 }
.note { fill: #59636e }
.other { fill: #b8c0c8 }
.ours { fill: #0969da }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .note { fill: #9198a1 }
  .other { fill: #4b535c }
  .ours { fill: #4493f8 }
}
</style>
`

// drawCost draws the CPU time that each candidate takes for a request, for the README.
func drawCost(r report) string {
	var body strings.Builder
	y := costMargin
	for _, p := range costPanels {
		c, ok := r.find(p)
		if !ok {
			continue
		}
		fmt.Fprintf(&body, "<text class=\"title\" x=\"12\" y=\"%d\">%s</text>\n", y, escaped(p.title))
		y += 10
		for _, row := range costRows(c) {
			drawCostBar(&body, y, row)
			y += costStep
		}
		y += costTitle
	}
	return fmt.Sprintf("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %[1]d %[2]d\" role=\"img\">\n"+
		"<title>CPU time of the client per request, net/http's being 1</title>\n%s"+
		"<text class=\"head\" x=\"12\" y=\"24\">CPU time of the client per GET, net/http = 1 (less is better)</text>\n%s</svg>\n",
		costWidth, y-costTitle+8, costStyle, body.String())
}

// costRows are the rows to draw, the cheapest first. net/http is drawn once, and the bare socket is not a client.
func costRows(c comparisonReport) []row {
	rows := slices.DeleteFunc(slices.Clone(c.Rows), func(r row) bool {
		return r.Ratio == nil || r.Candidate == again || r.Candidate == bare || r.Candidate == pingoraOne
	})
	slices.SortStableFunc(rows, func(a, b row) int {
		return int(1000*a.Ratio.Median) - int(1000*b.Ratio.Median)
	})
	return rows
}

func drawCostBar(b *strings.Builder, y int, r row) {
	class := "other"
	if r.Candidate == ours {
		class = "ours"
	}
	length := int(min(r.Ratio.Median, 1.1) * (costRight - costLeft))
	base := y + costBar - 4
	fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>", costLeft-8, base, escaped(string(r.Candidate)))
	fmt.Fprintf(b, "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"2\"/>", class, costLeft, y, length, costBar)
	fmt.Fprintf(b, "<text class=\"note\" x=\"%d\" y=\"%d\">%s</text>\n", costLeft+length+6, base, showRatio(r.Ratio.Median))
}
