package learn

import (
	"math/rand/v2"
	"testing"
	"time"
)

const ms = time.Millisecond

// closes tells of closes of connections that were idle for the given times, one every interval.
func closes(l *Idle, start, interval time.Duration, idle ...time.Duration) (now time.Duration) {
	now = start
	for _, d := range idle {
		l.Close(d, now)
		now += interval
	}
	return now
}

func wantLimit(t *testing.T, l *Idle, least, most time.Duration) {
	t.Helper()
	if got := l.Limit(); got < least || got > most {
		t.Errorf("the limit is %v, want %v to %v", got, least, most)
	}
}

func TestThreeClosesAtOneAgeTeachALimit(t *testing.T) {
	var l Idle
	now := closes(&l, 5*time.Second, time.Second, 1001*ms, 1000*ms)
	wantLimit(t, &l, 0, 0)
	l.Close(1002*ms, now)
	wantLimit(t, &l, 1000*ms, 1000*ms)
	if use := l.Use(0); use != 950*ms {
		t.Errorf("a connection may be idle for %v", use)
	}
	if use := l.Use(100 * ms); use != 850*ms {
		t.Errorf("a connection may be idle for %v if a round trip takes 100 ms", use)
	}
	if since := l.Since(); since != now {
		t.Errorf("learned at %v, want %v", since, now)
	}
}

func TestABurstWhoseConnectionsEndOneAfterTheOtherTeaches(t *testing.T) {
	var l Idle
	for i := range 64 { // released within 64 ms
		l.Close(time.Second+time.Duration(i%3)*ms, 2*time.Second+time.Duration(i)*ms)
	}
	wantLimit(t, &l, 1000*ms, 1002*ms)
}

func TestAServerThatLooksNowAndThenTeachesTheShortestTime(t *testing.T) {
	var l Idle
	closes(&l, 10*time.Second, 7*time.Second, 2400*ms, 2000*ms, 2200*ms, 2100*ms, 2300*ms)
	wantLimit(t, &l, 2000*ms, 2000*ms)
}

// TestARestartDoesNotTeach closes all connections within a moment, short or long. The connections became idle at different
// times.
func TestARestartDoesNotTeach(t *testing.T) {
	for _, takes := range []time.Duration{0, ms, 10 * ms, 100 * ms, time.Second} {
		for _, idled := range []time.Duration{ms, 30 * ms, time.Second, time.Minute} {
			for seed := range uint64(50) {
				random := rand.New(rand.NewPCG(seed, uint64(takes+idled)))
				const conns = 500
				restart := 2 * time.Minute
				var l Idle
				for i := range conns {
					released := restart - time.Second - time.Duration(random.Int64N(int64(idled)))
					closed := restart + takes*time.Duration(i)/conns
					l.Close(closed-released, closed)
				}
				if l.Limit() != 0 {
					t.Errorf("a restart that takes %v, with connections that were released within %v, teaches %v", takes, idled, l.Limit())
					break
				}
			}
		}
	}
}

func TestClosesAtAnyAgeDoNotTeach(t *testing.T) {
	taught := 0
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		var l Idle
		for i := range 100 {
			l.Close(time.Duration(random.Int64N(int64(10*time.Second))), time.Hour+time.Duration(i)*time.Second)
		}
		if l.Limit() != 0 {
			taught++
		}
	}
	if taught > 20 {
		t.Errorf("%d of 200 servers that close at random teach a limit", taught)
	}
}

func TestClosesThatLieFarBackDoNotTeach(t *testing.T) {
	var l Idle
	closes(&l, time.Minute, 6*time.Minute, time.Second, time.Second, time.Second)
	wantLimit(t, &l, 0, 0)
}

func TestLossesAloneDoNotTeach(t *testing.T) {
	var l Idle
	for i := range 10 {
		l.Lose(time.Second, true, time.Duration(i+5)*time.Second, 0)
	}
	wantLimit(t, &l, 0, 0)
	l.Close(time.Second, 20*time.Second)
	wantLimit(t, &l, time.Second, time.Second)
}

func TestALossWithinTheMarginWidensIt(t *testing.T) {
	var l Idle
	now := closes(&l, 5*time.Second, time.Second, time.Second, time.Second, time.Second)
	l.Lose(940*ms, true, now, 0)
	l.Lose(940*ms, true, now+ms, 0) // of the same moment
	now += 5 * time.Second
	l.Review(now)
	if use := l.Use(0); use != 900*ms {
		t.Errorf("a connection may be idle for %v", use)
	}
	for range 10 {
		now += 2 * time.Second
		l.Review(now)
		l.Lose(l.Use(0), true, now, 0)
	}
	now += 5 * time.Second
	l.Review(now)
	if use := l.Use(0); use != l.Limit()/4 {
		t.Errorf("a connection may be idle for %v if the peer closes it after %v", use, l.Limit())
	}
	for range 10 {
		now += 10 * time.Minute
		l.Close(l.Limit(), now-1)
		l.Review(now)
	}
	if use := l.Use(0); use != l.Limit()*19/20 {
		t.Errorf("a connection may be idle for %v, an hour after the last loss", use)
	}
}

func TestAShorterLimitIsLearnedAtOnce(t *testing.T) {
	var l Idle
	now := closes(&l, 5*time.Second, time.Second, 10*time.Second, 10*time.Second, 10*time.Second)
	closes(&l, now, time.Second, 2*time.Second, 2*time.Second, 2*time.Second, 2*time.Second, 2*time.Second, 2*time.Second)
	wantLimit(t, &l, 2*time.Second, 2*time.Second)
}

func TestALimitThatIsNotConfirmedRisesSlowlyAndIsForgotten(t *testing.T) {
	var l Idle
	closes(&l, 5*time.Second, time.Second, time.Second, time.Second, time.Second)
	confirmed := 7 * time.Second
	if due := l.Review(confirmed); due != confirmed+10*time.Minute {
		t.Errorf("it is reviewed at %v", due)
	}
	l.Review(confirmed + 10*time.Minute - 1)
	wantLimit(t, &l, time.Second, time.Second)
	due := l.Review(confirmed + 10*time.Minute)
	wantLimit(t, &l, 1250*ms, 1250*ms)
	l.Close(1250*ms, due-1) // as it is still the limit
	l.Review(due)
	wantLimit(t, &l, 1250*ms, 1250*ms)
	l.Review(due + time.Hour)
	wantLimit(t, &l, 0, 0)
}

func TestConnectionsThatOutliveTheLimitRaiseIt(t *testing.T) {
	var l Idle
	now := closes(&l, 5*time.Second, time.Second, time.Second, time.Second, time.Second)
	for range 3 {
		now += 10 * time.Second
		l.Outlive(1800*ms, now)
	}
	wantLimit(t, &l, time.Second, time.Second)
	l.Outlive(5*time.Second, now+10*time.Second)
	wantLimit(t, &l, 1800*ms, 1800*ms)
}

func TestALimitThatIsConfirmedIsNotRaisedByOthers(t *testing.T) {
	var l Idle
	now := closes(&l, 5*time.Second, time.Second, time.Second, time.Second, time.Second)
	for range 100 { // behind a balancer, one server of two keeps its connections longer
		now += time.Second
		l.Outlive(30*time.Second, now)
		l.Close(time.Second, now+500*ms)
	}
	wantLimit(t, &l, time.Second, time.Second)
}

func TestAfterALossRequestsKeepAwayFromConnectionsThatAreIdleForAsLong(t *testing.T) {
	var l Idle
	l.Close(3*time.Second, 30*time.Second)
	l.Review(40 * time.Second)
	l.Lose(time.Second, true, time.Minute, 0)
	due := l.Review(time.Minute)
	if use := l.Use(0); use != 950*ms || due != time.Minute+2*time.Second {
		t.Errorf("until %v a connection may be idle for %v", due, use)
	}
	wantLimit(t, &l, 0, 0)
	l.Review(due)
	if use := l.Use(0); use != 0 {
		t.Errorf("later a connection may be idle for %v", use)
	}
}

func TestLossesAloneKeepNoRequestAwayFromConnections(t *testing.T) {
	var l Idle
	for i := range 20 {
		l.Lose(time.Second+time.Duration(i)*10*ms, true, time.Duration(i)*time.Minute, 0)
		if use := l.Use(0); use != 0 {
			t.Fatalf("after %d losses a connection may be idle for %v", i+1, use)
		}
	}
}
