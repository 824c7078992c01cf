//go:build !linux

package watch

import (
	"testing"

	"github.com/peerpool/peerpool/internal/nettest"
)

func TestNothingIsWatchedHere(t *testing.T) {
	conn, _ := nettest.TCPPair(t)
	var w Watcher
	if _, ok := w.Add(telling{conn, silent{t}}); ok {
		t.Error("a socket is watched on a system that cannot")
	}
}
