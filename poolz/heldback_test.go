package poolz

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/peerpool/peerpool"
)

func TestTheLatestMissesSayThatMaxConnsPerHostIsReached(t *testing.T) {
	p := newPage(&crowd{}, nil)
	o := p.Observer()
	o.AcquireDone(t.Context(), peerpool.AcquireDone{Miss: "busy"})
	wants := func(text string, want bool) {
		t.Helper()
		if has := strings.Contains(get(p, "").Body.String(), text); has != want {
			t.Errorf("the page has %q: %v, want %v", text, has, want)
		}
	}
	wants("MaxConnsPerHost is reached</span>", false)
	o.AcquireDone(t.Context(), peerpool.AcquireDone{Miss: "busy", HeldBack: true})
	o.AcquireDone(t.Context(), peerpool.AcquireDone{Err: context.DeadlineExceeded, ErrorType: "timeout", HeldBack: true})
	wants("MaxConnsPerHost is reached</span>", true)
	wants("(timed out), <span", true)

	var d document
	if err := json.Unmarshal(get(p, "?format=json").Body.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	if m := d.LastMisses; len(m) != 3 || !m[0].HeldBack || !m[1].HeldBack || m[2].HeldBack {
		t.Errorf("the misses in JSON are %+v, want the latest two to be held back", m)
	}
}
