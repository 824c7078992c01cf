package peerpool

import (
	"math"
	"testing"
	"testing/synctest"
	"time"
)

func TestABudgetAllowsAShareOfTheRequestsOfTheLastSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b retryBudget
		taken := func() (n int) {
			for b.take(0.2) {
				n++
			}
			return n
		}
		if n := taken(); n != budgetFloor {
			t.Errorf("%d retries without a request, want %d", n, budgetFloor)
		}
		for range 100 {
			b.request()
		}
		if n := taken(); n != 20-budgetFloor {
			t.Errorf("%d more retries of 100 requests, want %d", n, 20-budgetFloor)
		}
		time.Sleep(budgetWindow / 2)
		for range 400 {
			b.request()
		}
		if n := taken(); n != 80 {
			t.Errorf("%d more retries of 400 more requests, want 80", n)
		}
		time.Sleep(budgetWindow / 2) // the first hundred are over, and their retries
		if n := taken(); n != 0 {
			t.Errorf("%d more retries of the same 400 requests, want none", n)
		}
		time.Sleep(budgetWindow)
		if n := taken(); n != budgetFloor {
			t.Errorf("%d retries after a long time, want %d", n, budgetFloor)
		}
	})
}

func TestOnlyWhatAServerMayHaveProcessedCountsForTheBudget(t *testing.T) {
	want := map[verdict]bool{retryStale: true, retryLost: true, retryAddress: true}
	for _, v := range []verdict{
		giveUp, leaseAgain, retryUnsent, retryStale, retryMisdirected, retryRefused, retryLost, retryHTTP1, retryAddress,
	} {
		if v.repeats() != want[v] {
			t.Errorf("%q repeats: %v", v, v.repeats())
		}
	}
}

func TestABudgetThatIsNoNumberIsTheSmallest(t *testing.T) {
	tr := &Transport{RetryBudget: math.NaN()}
	set := &Transport{}
	set.SetLimits(tr.Limits())
	for _, tr := range []*Transport{tr, set} {
		if share := tr.retryBudget(); !(share > 0 && share < 1e-9) {
			t.Errorf("the budget is %v", share)
		}
	}
}
