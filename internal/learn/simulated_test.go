package learn

import (
	"fmt"
	"testing"
	"time"
)

const (
	mostLost = 0.001 // of the requests
	mostLess = 0.05  // of the requests: how many fewer may be hits than in a pool that knows the limit
)

func keeping(limit time.Duration) func(time.Duration) time.Duration {
	return func(time.Duration) time.Duration { return limit }
}

// compare runs a simulation, and the same with a pool that knows the limit.
func compare(s simulation) (learning, knowing tally) {
	knows := s
	knows.knowing = true
	return s.run(), knows.run()
}

// loads are callers that come back just as the limit passes.
var loads = []struct {
	name     string
	together bool
}{{"each after its own pause", false}, {"all together", true}}

func TestHardlyARequestIsLostToAnIdleLimitAndHardlyAHitIsMissed(t *testing.T) {
	seed := uint64(0)
	for _, limit := range []time.Duration{20 * ms, 40 * ms, 100 * ms, 200 * ms, time.Second, 75 * time.Second} {
		for _, callers := range []int{1, 10, 100, 500} {
			for _, late := range []float64{0, 0.2} {
				for _, load := range loads {
					for _, stalls := range []time.Duration{0, limit / 2000} {
						s := simulation{
							callers: callers, rounds: max(20, 4000/callers), start: limit, pause: limit, spread: 0.1, together: load.together,
							limit: keeping(limit), late: late, transit: 20 * time.Microsecond, serves: limit / 100, stalls: stalls, seed: seed,
						}
						seed++
						learning, knowing := compare(s)
						what := fmt.Sprintf("limit %v, up to %.0f %% later, %d callers, %s, stalls of %v", limit, 100*late, callers, load.name, stalls)
						t.Logf("%s: %d sent, %d lost, %.1f %% hits of %.1f %% possible", what, learning.sent, learning.lost, 100*learning.hitShare(), 100*knowing.hitShare())
						if learning.lossShare() > mostLost || knowing.lost > 0 {
							t.Errorf("%s: %d of %d requests were lost", what, learning.lost, learning.sent)
						}
						if learning.hitShare() < knowing.hitShare()-mostLess {
							t.Errorf("%s: %.1f %% of the requests were hits, %.1f %% could have been", what, 100*learning.hitShare(), 100*knowing.hitShare())
						}
					}
				}
			}
		}
	}
}

// TestHardlyARequestIsLostOnABusyMachine lets client and server read each message late, by a fiftieth of the limit on
// average.
func TestHardlyARequestIsLostOnABusyMachine(t *testing.T) {
	for _, limit := range []time.Duration{20 * ms, 40 * ms, 100 * ms} {
		for _, load := range loads {
			for _, late := range []float64{0, 0.2} {
				s := simulation{
					callers: 500, rounds: 40, start: limit, pause: limit, spread: 0.1, together: load.together,
					limit: keeping(limit), late: late, transit: 20 * time.Microsecond, serves: limit / 100, varies: 1, stalls: limit / 50,
				}
				if r := s.run(); r.lossShare() > mostLost {
					t.Errorf("limit %v, up to %.0f %% later, %s: %d of %d requests were lost", limit, 100*late, load.name, r.lost, r.sent)
				}
			}
		}
	}
}

func TestAServerWithoutAnIdleLimitTeachesNone(t *testing.T) {
	withoutALimit(0, 0, func(s *simulation, callers int, load string) {
		if limit := s.rule.Limit(); limit != 0 {
			t.Errorf("%d callers every %v, %s: learned %v", callers, s.pause, load, limit)
		}
	})
}

// TestAServerThatRestartsHardlyTeaches allows a few servers to teach a limit: connections may happen to have been idle for
// equal times at several restarts.
func TestAServerThatRestartsHardlyTeaches(t *testing.T) {
	taught, servers := 0, 0
	for seed := range uint64(5) {
		for _, restarts := range []time.Duration{20, 100} {
			withoutALimit(restarts, seed, func(s *simulation, _ int, _ string) {
				servers++
				if s.rule.Limit() != 0 {
					taught++
				}
			})
		}
	}
	if taught > servers/20 {
		t.Errorf("%d of %d servers that restart teach a limit", taught, servers)
	}
}

// withoutALimit simulates servers without a limit, which restart after a number of pauses of a caller, or never.
func withoutALimit(restarts time.Duration, seed uint64, then func(s *simulation, callers int, load string)) {
	for _, pause := range []time.Duration{40 * ms, time.Second, 75 * time.Second} {
		for _, callers := range []int{1, 10, 100, 500} {
			for _, load := range loads {
				s := &simulation{
					callers: callers, rounds: max(100, 2000/callers), start: pause, pause: pause, spread: 0.1, together: load.together,
					limit: keeping(0), restarts: restarts * pause, transit: 20 * time.Microsecond, serves: pause / 100, stalls: pause / 1000, seed: seed,
				}
				s.run()
				then(s, callers, load.name)
			}
		}
	}
}

// TestAServerThatClosesAtAnyTimeHardlyTeaches uses a server that closes connections at any time, as a balancer does that
// sheds load.
func TestAServerThatClosesAtAnyTimeHardlyTeaches(t *testing.T) {
	taught := 0
	const servers = 100
	for seed := range uint64(servers) {
		s := simulation{
			callers: 10, rounds: 100, start: time.Second, pause: time.Second, spread: 0.5,
			limit: keeping(0), closes: 2 * time.Second, transit: 20 * time.Microsecond, serves: 10 * ms, seed: seed,
		}
		s.run()
		if s.rule.Limit() != 0 {
			taught++
		}
	}
	if taught > servers/20 {
		t.Errorf("%d of %d servers that close at any time teach a limit", taught, servers)
	}
}

func TestALimitThatChangesIsFollowed(t *testing.T) {
	for _, change := range []struct{ from, to time.Duration }{{time.Second, 200 * ms}, {200 * ms, time.Second}, {5 * time.Second, 4 * time.Second}} {
		for _, load := range loads {
			const rounds = 3000
			changes := beginning + rounds/4*change.to
			s := simulation{
				callers: 1, rounds: rounds, start: change.to, pause: change.to, spread: 0.1, together: load.together, transit: 20 * time.Microsecond,
				limit: func(now time.Duration) time.Duration {
					if now < changes {
						return change.from
					}
					return change.to
				},
			}
			r := s.run()
			if r.lossShare() > mostLost {
				t.Errorf("%v to %v, %s: %d of %d requests were lost", change.from, change.to, load.name, r.lost, r.sent)
			}
			if limit := s.rule.Limit(); limit < change.to*9/10 || limit > change.to*11/10 {
				t.Errorf("%v to %v, %s: learned %v", change.from, change.to, load.name, limit)
			}
		}
	}
}
