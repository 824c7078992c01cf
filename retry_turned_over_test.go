package peerpool

import (
	"errors"
	"testing"
	"time"

	"github.com/peerpool/peerpool/internal/exchange"
)

// TestARequestThatIsTurnedAwayIsSentAgainMoreOften checks both ways in which a healthy server turns a request away: the
// connection has served its time, or the server has no room.
func TestARequestThatIsTurnedAwayIsSentAgainMoreOften(t *testing.T) {
	for name, o := range map[string]exchange.Outcome{
		"GOAWAY":         {Wrote: true, Refused: true, TurnedOver: true},
		"REFUSED_STREAM": {Wrote: true, Refused: true, Reset: true},
	} {
		t.Run(name, func(t *testing.T) { turnedAway(t, outcome{Outcome: o, err: errors.New(name)}) })
	}
	gone := outcome{Outcome: exchange.Outcome{Wrote: true, Refused: true}, err: errors.New("GOAWAY, with an error")}
	if got := decide(gone, replay{body: true}, maxAttempts); got != giveUp {
		t.Errorf("a server that has failed is asked for the fourth time: %q", got)
	}
}

func turnedAway(t *testing.T, gone outcome) {
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
}

func TestAServerWithoutRoomIsGivenTime(t *testing.T) {
	refused := &outcome{Outcome: exchange.Outcome{Wrote: true, Refused: true, Reset: true}}
	goAway := &outcome{Outcome: exchange.Outcome{Wrote: true, Refused: true, TurnedOver: true}}
	for number := 2; number <= maxTurns; number++ {
		if got := retryRefused.pause(goAway, number); got != 0 {
			t.Errorf("try %d waits %v although another connection will do", number, got)
		}
		if retryRefused.fresh(refused, number, true) != (number == maxTurns) {
			t.Errorf("try %d: only the last one needs another connection", number)
		}
		least, most := time.Duration(0), time.Duration(0)
		if number > 2 {
			least, most = firstPause/2<<(number-3), firstPause*3/2<<(number-3)
		}
		for range 100 {
			if got := retryRefused.pause(refused, number); got < least || got > most {
				t.Fatalf("try %d waits %v, want from %v to %v", number, got, least, most)
			}
		}
	}
}
