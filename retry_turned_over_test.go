package peerpool

import (
	"errors"
	"testing"

	"github.com/peerpool/peerpool/internal/exchange"
)

// TestARequestThatGracefulEndsTurnAwayIsSentAgainMoreOften: each time, another connection has served its time.
func TestARequestThatGracefulEndsTurnAwayIsSentAgainMoreOften(t *testing.T) {
	gone := outcome{Outcome: exchange.Outcome{Wrote: true, Refused: true, TurnedOver: true}, err: errors.New("GOAWAY")}
	for attempt := 1; attempt <= maxTurns+1; attempt++ {
		want := retryRefused
		if attempt >= maxTurns {
			want = giveUp
		}
		if got := decide(gone, replay{body: true}, attempt); got != want {
			t.Errorf("attempt %d: %q, want %q", attempt, got, want)
		}
		if got := decide(gone, replay{}, attempt); got != giveUp {
			t.Errorf("attempt %d, with a body that is gone: %q", attempt, got)
		}
		if got := retryRefused.alone(attempt); got != (attempt == maxTurns) {
			t.Errorf("attempt %d is made alone: %v", attempt, got)
		}
	}
	gone.TurnedOver = false
	if got := decide(gone, replay{body: true}, maxAttempts); got != giveUp {
		t.Errorf("a server that refuses is asked for the fourth time: %q", got)
	}
}
