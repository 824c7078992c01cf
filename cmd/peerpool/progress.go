package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	liveInterval  = 100 * time.Millisecond
	plainInterval = 5 * time.Second
)

// progress tells how far something is: on one line that is rewritten if w is a terminal, else on a line now and
// then. Errors in writing are ignored, as nothing depends on it.
type progress struct {
	w     io.Writer
	live  bool
	width int // of the text that stands on the line; belongs to the goroutine of follow while that runs
}

// follow shows text again and again until stop is called, which takes the line away. The first time is one
// interval from now, so that what is quickly done shows nothing.
func (p *progress) follow(text func() string) (stop func()) {
	ended := make(chan struct{})
	var shower sync.WaitGroup
	shower.Go(func() {
		interval := plainInterval
		if p.live {
			interval = liveInterval
		}
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				p.show(text())
			case <-ended:
				return
			}
		}
	})
	return func() {
		close(ended)
		shower.Wait()
		p.erase()
	}
}

func (p *progress) show(text string) {
	if !p.live {
		_, _ = fmt.Fprintln(p.w, text)
		return
	}
	blank := strings.Repeat(" ", max(0, p.width-len(text)))
	_, _ = fmt.Fprint(p.w, "\r", text, blank)
	p.width = len(text)
}

func (p *progress) erase() {
	if p.width > 0 {
		_, _ = fmt.Fprint(p.w, "\r", strings.Repeat(" ", p.width), "\r")
		p.width = 0
	}
}

// note tells something that stays, unless the line that is rewritten has told it.
func (p *progress) note(text string) {
	if !p.live {
		_, _ = fmt.Fprintln(p.w, text)
	}
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
