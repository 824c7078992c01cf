package differential_test

import (
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"sort"
	"strings"
	"testing"
	"time"
)

var (
	scripts = flag.Int("http2.scripts", 200, "how many random `scripts` the differential test runs")
	seed    = flag.Uint64("http2.seed", 0, "run the differential test from this `seed` on")
)

// TestRandomScriptsGoAsWithNetHTTP runs random scripts against our client, net/http's and x/net's, and compares what
// callers and server see. With -http2.seed and -http2.scripts=1 it runs one of them again.
func TestRandomScriptsGoAsWithNetHTTP(t *testing.T) {
	log.SetOutput(io.Discard) // the references comment on what they get
	defer log.SetOutput(os.Stderr)
	used, failures := map[string]int{}, 0
	for n := range uint64(*scripts) {
		s := generate(*seed + n)
		disagreement := compare(t, s, used)
		if disagreement == "" {
			continue
		}
		smaller := shrink(s, func(s *script) bool { return compare(t, s, map[string]int{}) != "" })
		t.Errorf("-http2.seed=%d -http2.scripts=1: %s\n\nThe smallest script that differs:\n%v\n%s", *seed+n, disagreement, smaller,
			compare(t, smaller, map[string]int{}))
		if failures++; failures == 20 {
			t.Fatal("and so on")
		}
	}
	var names []string
	for name, n := range used {
		names = append(names, fmt.Sprintf("%d: %s", n, name))
	}
	sort.Strings(names)
	t.Logf("differences that were let pass:\n%s", strings.Join(names, "\n"))
}

// attempts is how often compare runs a script again if the clients do not agree. Events that happen at the same time have
// no order, so one run may differ from the next.
const attempts = 6

// compare runs a script against all clients, and says how they disagree.
func compare(t *testing.T, s *script, used map[string]int) (disagreement string) {
	var all [][]*outcome // of the references
	// What blocks on a mutex stops the clock of its bubble.
	defer time.AfterFunc(time.Minute, func() { panic(fmt.Sprintf("this stands still:\n%v", s)) }).Stop()
	references := []client{netHTTP, xNet}
	if s.has("grant", maxWindow) {
		references = references[1:] // net/http of Go 1.26 stands still with a stream's window that overflows
	}
	for range attempts {
		for _, cl := range references {
			// What goes wrong with a reference is not for us to judge.
			if got, _ := run(t, s, cl); got != nil {
				all = append(all, got)
			}
		}
		got, err := run(t, s, ours)
		if err != nil {
			return err.Error()
		}
		if disagreement = disagree(s, got, all, used); disagreement == "" {
			return ""
		}
	}
	return disagreement
}

// disagree says which exchange ended differently from those of all references.
func disagree(s *script, got []*outcome, all [][]*outcome, used map[string]int) string {
next:
	for i, o := range got {
		for _, ref := range all {
			if o.same(ref[i]) {
				continue next
			}
		}
		for _, ref := range all {
			if names := explained(s, &s.exchanges[i], o, ref[i]); names != nil {
				for _, name := range names {
					used[name]++
				}
				continue next
			}
		}
		text := fmt.Sprintf("exchange %d\npeerpool: %v\n", i, o)
		for _, ref := range all[:min(len(all), 2)] {
			text += fmt.Sprintf("reference: %v\n", ref[i])
		}
		return text
	}
	return ""
}

func (o *outcome) String() string {
	text := fmt.Sprintf("%+v", o.result)
	for _, s := range o.seen {
		text += "\n    saw " + s.String()
	}
	return text
}

// String says what must agree. How much of the body of a request arrives is not among it if the request was broken off.
func (s *seen) String() string {
	text := fmt.Sprintf("%q", s.head)
	if s.broken || s.reset != "" {
		return text + " broken off " + s.reset
	}
	return text + fmt.Sprintf(" %d bytes, ended %v, trailer %q", len(s.body), s.ended, s.trailer)
}

// same reports whether callers and server saw the same.
func (o *outcome) same(ref *outcome) bool {
	return o.sameResult(ref) && o.sameSeen(ref)
}

func (o *outcome) sameResult(ref *outcome) bool { return o.result == ref.result }

func (o *outcome) sameSeen(ref *outcome) bool {
	if len(o.seen) != len(ref.seen) {
		return false
	}
	for i := range o.seen {
		if o.seen[i].String() != ref.seen[i].String() {
			return false
		}
	}
	return true
}
