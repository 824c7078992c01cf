package main

import (
	"fmt"
	"io"
	"os"
	"time"
)

// progress shows how far a run has come, on one line that it overwrites. If the output is not a terminal, it prints a
// line for each comparison instead.
type progress struct {
	w           io.Writer
	terminal    bool
	started     time.Time
	done, total int
}

func newProgress(w io.Writer, s settings) *progress {
	p := &progress{w: w, started: time.Now()}
	for _, suite := range s.suites {
		if suite.unsupported == "" {
			p.total += len(suite.comparisons(s.short))
		}
	}
	if f, ok := w.(*os.File); ok {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

// eraseLine goes to the start of a terminal's line and clears it.
const eraseLine = "\r\x1b[K"

func (p *progress) show(suite, comparison string, round, rounds int, c candidate) {
	if p.terminal {
		fmt.Fprintf(p.w, eraseLine+"[%d/%d] %s: %s: round %d of %d, %s (%s)",
			p.done+1, p.total, suite, comparison, round, rounds, c, p.elapsed())
	}
}

func (p *progress) finished(suite, comparison string) {
	p.done++
	if !p.terminal {
		fmt.Fprintf(p.w, "[%d/%d] %s: %s (%s)\n", p.done, p.total, suite, comparison, p.elapsed())
	}
}

func (p *progress) clear() {
	if p.terminal {
		fmt.Fprint(p.w, eraseLine)
	}
}

func (p *progress) elapsed() time.Duration { return time.Since(p.started).Round(time.Second) }
