package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// shown follows texts, one for each interval, and returns what was written.
func shownBy(t *testing.T, live bool, lasts time.Duration, texts ...string) string {
	t.Helper()
	var out strings.Builder
	synctest.Test(t, func(*testing.T) {
		p := &progress{w: &out, live: live}
		next := 0
		stop := p.follow(func() string {
			next++
			return texts[next-1]
		})
		time.Sleep(lasts)
		synctest.Wait()
		stop()
	})
	return out.String()
}

func TestOnATerminalProgressRewritesItsLineAndTakesItAway(t *testing.T) {
	got := shownBy(t, true, 2*liveInterval, "longer text", "short")
	if want := "\rlonger text\rshort      \r     \r"; got != want {
		t.Errorf("wrote %q, want %q", got, want)
	}
}

func TestElsewhereProgressWritesALineNowAndThen(t *testing.T) {
	if got := shownBy(t, false, 2*plainInterval+time.Second, "one", "two"); got != "one\ntwo\n" {
		t.Errorf("wrote %q", got)
	}
}

func TestWhatIsQuicklyDoneShowsNoProgress(t *testing.T) {
	if got := shownBy(t, false, plainInterval-1) + shownBy(t, true, liveInterval-1); got != "" {
		t.Errorf("wrote %q", got)
	}
}

func TestANoteStaysWhereNoLineIsRewritten(t *testing.T) {
	var plain, live strings.Builder
	(&progress{w: &plain}).note("done")
	(&progress{w: &live, live: true}).note("done")
	if plain.String() != "done\n" || live.String() != "" {
		t.Errorf("wrote %q and %q", plain.String(), live.String())
	}
}
