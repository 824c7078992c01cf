package learn

import (
	"testing"
	"time"
)

// ends tells of connections that the peer has ended, one every second.
func ends(r *Requests, start time.Duration, announced bool, served ...int) {
	for i, n := range served {
		r.End(n, announced, start+time.Duration(i)*time.Second)
	}
}

func wantRequests(t *testing.T, r *Requests, want int) {
	t.Helper()
	if got := r.Limit(); got != want {
		t.Errorf("the limit is %d, want %d", got, want)
	}
}

func TestFourConnectionsThatHaveServedTheSameNumberTeachIt(t *testing.T) {
	var r Requests
	ends(&r, time.Second, false, 100, 100, 100)
	wantRequests(t, &r, 0)
	ends(&r, 10*time.Second, false, 100)
	wantRequests(t, &r, 100)
	if r.Since() != 10*time.Second {
		t.Errorf("learned at %v", r.Since())
	}
}

func TestConnectionsThatEndAtOneMomentCountAsOne(t *testing.T) {
	var r Requests
	for i := range 100 {
		r.End(7, true, time.Second+time.Duration(i)*time.Microsecond)
	}
	wantRequests(t, &r, 0)
}

func TestDifferentNumbersTeachNothing(t *testing.T) {
	var r Requests
	ends(&r, time.Second, true, 100, 100, 99, 100, 100, 100, 3, 100)
	wantRequests(t, &r, 0)
}

func TestAConnectionThatServesMoreRefutesTheLimit(t *testing.T) {
	var r Requests
	ends(&r, time.Second, false, 1, 1, 1)
	if r.Suspect() != 1 {
		t.Errorf("%d is suspected", r.Suspect())
	}
	r.Exceed(2)
	ends(&r, 10*time.Second, false, 1, 1, 1)
	wantRequests(t, &r, 0)
	ends(&r, 20*time.Second, false, 1)
	wantRequests(t, &r, 1)
	r.Exceed(2)
	wantRequests(t, &r, 0)
}

func TestAConnectionThatIsKeptAfterItsLastRequestRefutesTheLimit(t *testing.T) {
	var r Requests
	ends(&r, time.Second, false, 3, 3, 3, 3)
	r.Keep(2)
	wantRequests(t, &r, 3)
	r.Keep(3)
	wantRequests(t, &r, 0)
	ends(&r, 10*time.Second, false, 3, 3, 3)
	wantRequests(t, &r, 0)
	ends(&r, 20*time.Second, false, 3)
	wantRequests(t, &r, 3)
}

func TestAnAnnouncementThatDoesNotComeRefutesTheLimit(t *testing.T) {
	var r Requests
	ends(&r, time.Second, true, 5, 5, 5, 5)
	r.Exceed(4)
	wantRequests(t, &r, 5)
	r.Exceed(5)
	wantRequests(t, &r, 0)

	ends(&r, time.Minute, false, 5, 5, 5, 5)
	r.Exceed(5) // it might be closed now
	wantRequests(t, &r, 5)
}

func TestALimitOnRequestsIsForgottenIfNothingConfirmsIt(t *testing.T) {
	var r Requests
	ends(&r, time.Second, true, 5, 5, 5, 5, 5)
	due := r.Review(time.Minute)
	if due != 5*time.Second+10*time.Minute {
		t.Errorf("it is reviewed at %v", due)
	}
	r.Review(due - 1)
	wantRequests(t, &r, 5)
	r.Review(due)
	wantRequests(t, &r, 0)
}
