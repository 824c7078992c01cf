package main

import (
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The measures of a picture, in pixels.
const (
	plotWidth  = 900
	plotLeft   = 150 // where the bars begin
	plotRight  = 840 // where the longest ends
	plotTop    = 56
	barHeight  = 14
	barStep    = 20
	titleStep  = 26
	groupSpace = 16
)

var plotColors = map[candidate]string{
	ours: "#1b6ca8", netHTTP: "#9a9a9a", again: "#c4c4c4", fastHTTP: "#d08a2e", hertz: "#e0b070", bare: "#4b4b4b",
	pingora: "#b0503c", pingoraOne: "#c87f70", hyperUtil: "#8c5fa8", reqwest: "#b394c6",
}

// plotSuite draws the ratios of a suite's comparisons: a bar for the median, a line for the range, and a mark
// where the target is.
func plotSuite(dir string, s suiteReport) error {
	if len(s.Comparisons) == 0 {
		return nil
	}
	return os.WriteFile(filepath.Join(dir, s.Name+".svg"), []byte(drawSuite(s)), 0o644)
}

func drawSuite(s suiteReport) string {
	var body strings.Builder
	scale := newScale(s)
	y := plotTop
	for _, c := range s.Comparisons {
		fmt.Fprintf(&body, "<text x=\"12\" y=\"%d\" font-weight=\"bold\">%s</text>\n", y,
			escaped(c.Name+": "+metrics[c.Metric].title+", ratio to "+string(c.Baseline)))
		y += titleStep - barHeight
		for _, r := range c.Rows {
			if r.Ratio == nil {
				continue
			}
			drawBar(&body, y, r, scale)
			if limit, ok := c.ratioTarget(r.Candidate); ok {
				drawMark(&body, y, limit, scale)
			}
			y += barStep
		}
		y += groupSpace + barHeight
	}
	return fmt.Sprintf("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" "+
		"font-size=\"12\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n"+
		"<text x=\"12\" y=\"24\" font-size=\"16\" font-weight=\"bold\">%s</text>\n%s</svg>\n",
		plotWidth, y, escaped(s.Name+": "+s.About), body.String())
}

// plotScale turns a ratio into a place.
type plotScale float64

// newScale makes room for the largest median, and for a range up to half beyond it: a bad round must not squeeze
// all bars.
func newScale(s suiteReport) plotScale {
	most := 1.0
	for _, c := range s.Comparisons {
		for _, r := range c.Rows {
			if r.Ratio != nil {
				most = max(most, r.Ratio.Median, min(r.Ratio.Max, 1.5*r.Ratio.Median))
			}
		}
	}
	return plotScale(most)
}

func (s plotScale) x(ratio float64) int {
	share := min(max(ratio/float64(s), 0), 1)
	return plotLeft + int(share*(plotRight-plotLeft))
}

func drawBar(b *strings.Builder, y int, r row, scale plotScale) {
	color := plotColors[r.Candidate]
	if color == "" {
		color = "#6fa8a0"
	}
	end, middle := scale.x(r.Ratio.Median), y+barHeight/2
	fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n", plotLeft-8, y+barHeight-3, escaped(string(r.Candidate)))
	fmt.Fprintf(b, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"%s\"/>\n", plotLeft, y, end-plotLeft, barHeight, color)
	fmt.Fprintf(b, "<line x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\" stroke=\"black\"/>\n",
		scale.x(r.Ratio.Min), scale.x(r.Ratio.Max), middle, middle)
	fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\">%s</text>\n", max(end, scale.x(r.Ratio.Max))+6, y+barHeight-3, showRatio(r.Ratio.Median))
}

func drawMark(b *strings.Builder, y int, limit float64, scale plotScale) {
	x := scale.x(limit)
	fmt.Fprintf(b, "<line x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\" stroke=\"#c0392b\" stroke-width=\"2\"><title>target %s</title></line>\n",
		x, x, y-2, y+barHeight+2, showRatio(limit))
}

func escaped(s string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(s)) // writes to a strings.Builder do not fail
	return b.String()
}
