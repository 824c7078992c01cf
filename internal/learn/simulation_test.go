package learn

import (
	"container/heap"
	"math/rand/v2"
	"slices"
	"time"
)

// simulation is a client with a pool, a network and a server, in simulated time. The same seed gives the same events. Each
// caller sends a request that could not be sent again, waits for the answer, and comes back when about as much time has
// passed as the server keeps an idle connection. The request is lost if the server has closed its connection.
type simulation struct {
	callers  int
	rounds   int           // requests of each caller
	start    time.Duration // the callers begin within this time
	pause    time.Duration // until a caller comes back
	spread   float64       // part of the pause by which a caller comes back earlier or later
	together bool          // all callers come back at about one moment, rather than each when its own pause is over

	limit    func(now time.Duration) time.Duration // idle time after which the server closes a connection; 0 if never
	late     float64                               // part of the limit by which it closes later, at most
	restarts time.Duration                         // time between two restarts of the server; 0 if there is none
	closes   time.Duration                         // the server closes any connection about this time after its answer; 0 if not

	transit time.Duration // of the network, one way; up to twice as long
	serves  time.Duration // how long the server takes for a request
	varies  float64       // part of serves that is drawn from an exponential distribution
	stalls  time.Duration // how much later client and server read what has arrived, on average; up to eight times as much

	maxIdle int // limit of the pool; 0 means 64
	seed    uint64
	knowing bool // the pool knows the limit, and the longest time a message may take

	now    time.Duration
	ends   time.Duration // when the server restarts no more
	events events
	rand   *rand.Rand
	idle   []*simulated // the one that was released last comes last
	all    []*simulated
	rule   Idle
	took   window
	shake  time.Duration // the shortest connect
	result tally
}

// tally counts the requests of callers that come back after a hundred connections have been opened or, if that takes long,
// in the second half of their rounds.
type tally struct {
	opened           int // in all
	sent, lost, hits int
}

func (t *tally) lossShare() float64 { return float64(t.lost) / float64(max(1, t.sent)) }
func (t *tally) hitShare() float64  { return float64(t.hits) / float64(max(1, t.sent)) }

// simulated is a connection.
type simulated struct {
	released time.Duration // when it became idle at the client
	pooled   bool
	closed   bool // at the server
	served   int  // answers
}

type event struct {
	at    time.Duration
	order int
	do    func()
}

type events struct {
	waiting []event
	count   int
}

func (e *events) Len() int { return len(e.waiting) }
func (e *events) Less(i, j int) bool {
	a, b := e.waiting[i], e.waiting[j]
	return a.at < b.at || a.at == b.at && a.order < b.order
}
func (e *events) Swap(i, j int) { e.waiting[i], e.waiting[j] = e.waiting[j], e.waiting[i] }
func (e *events) Push(x any)    { e.waiting = append(e.waiting, x.(event)) }
func (e *events) Pop() any {
	last := e.waiting[len(e.waiting)-1]
	e.waiting = e.waiting[:len(e.waiting)-1]
	return last
}

func (s *simulation) after(d time.Duration, do func()) {
	s.events.count++
	heap.Push(&s.events, event{s.now + d, s.events.count, do})
}

// part returns a random part of d.
func (s *simulation) part(d time.Duration) time.Duration {
	return time.Duration(s.rand.Float64() * float64(d))
}

func (s *simulation) exponential(mean time.Duration) time.Duration {
	return min(time.Duration(s.rand.ExpFloat64()*float64(mean)), 8*mean)
}

// travel draws the time from a write at one side to the read at the other.
func (s *simulation) travel() time.Duration {
	return s.transit + s.part(s.transit) + s.exponential(s.stalls)
}

// longest returns the longest time by which a connection may have been idle for longer at the server when a request arrives
// than it was at the client when the request was sent.
func (s *simulation) longest() time.Duration { return 2 * (2*s.transit + 8*s.stalls) }

const beginning = time.Minute // moment at which a simulation begins

func (s *simulation) run() tally {
	s.rand = rand.New(rand.NewPCG(s.seed, 15))
	s.now, s.ends = beginning, beginning+time.Duration(s.rounds)*s.pause
	if s.maxIdle == 0 {
		s.maxIdle = 64
	}
	for range s.callers {
		s.after(s.part(s.start), func() { s.send(0) })
	}
	if s.restarts != 0 {
		s.after(s.restarts, s.restart)
	}
	for s.events.Len() > 0 {
		next := heap.Pop(&s.events).(event)
		s.now = next.at
		next.do()
	}
	return s.result
}

func (s *simulation) restart() {
	for _, c := range s.all {
		s.close(c)
	}
	s.all = nil
	if s.now < s.ends {
		s.after(s.restarts+s.part(s.restarts), s.restart)
	}
}

// send sends the request of a caller in a round.
func (s *simulation) send(round int) {
	if round == s.rounds {
		return
	}
	begun := s.now
	c, idle := s.checkout()
	counts := round > 0 && (s.result.opened > 100 || 2*round > s.rounds)
	if counts {
		s.result.sent++
	}
	arrives := s.travel()
	if c == nil {
		c = new(simulated)
		s.all = append(s.all, c)
		s.result.opened++
		shake := s.travel() + s.travel()
		if s.shake == 0 || shake < s.shake {
			s.shake = shake
		}
		arrives += shake
	} else if counts {
		s.result.hits++
	}
	s.after(arrives, func() {
		if c.closed {
			s.after(s.travel(), func() {
				if counts {
					s.result.lost++
				}
				s.rule.Lose(idle, true, s.now, s.shake)
				s.comeBack(round)
			})
			return
		}
		c.served++
		varying := time.Duration(s.varies * float64(s.serves))
		s.after(s.serves-varying+s.exponential(varying), func() {
			s.answered(c)
			s.after(s.travel(), func() {
				s.learn(s.now-begun, idle)
				s.release(c)
				s.comeBack(round)
			})
		})
	})
}

// learn learns from an answer.
func (s *simulation) learn(took, idle time.Duration) {
	if s.rule.Limit() == 0 {
		return
	}
	s.rule.Outlive(idle, s.now)
	if s.took.include(took, took, 1); s.took.n == 16 {
		s.rule.Answers(s.took.least, s.took.greatest)
		s.took = window{}
	}
}

func (s *simulation) comeBack(round int) {
	pause := s.pause
	if s.together {
		pause = beginning + time.Duration(round+1)*s.pause - s.now
	}
	early := time.Duration(s.spread * float64(s.pause))
	s.after(pause-early+s.part(2*early), func() { s.send(round + 1) })
}

// checkout takes the connection that was released last, if the request may use it.
func (s *simulation) checkout() (c *simulated, idle time.Duration) {
	s.rule.Review(s.now)
	use := s.rule.Use(s.shake)
	if s.knowing {
		if use = s.limit(s.now); use != 0 {
			use -= s.longest()
		}
	}
	n := len(s.idle) - 1
	if n < 0 || use != 0 && s.now-s.idle[n].released >= use {
		return nil, 0
	}
	c = s.idle[n]
	s.idle, c.pooled = s.idle[:n], false
	return c, s.now - c.released
}

func (s *simulation) release(c *simulated) {
	c.pooled, c.released = true, s.now
	s.idle = append(s.idle, c)
	if len(s.idle) > s.maxIdle {
		s.idle[0].pooled = false
		s.idle = slices.Delete(s.idle, 0, 1)
	}
}

// answered starts the server's timer for the next request.
func (s *simulation) answered(c *simulated) {
	limit := s.limit(s.now)
	if limit != 0 {
		limit += s.part(time.Duration(s.late * float64(limit)))
	}
	if s.closes != 0 {
		limit = lower(limit, s.part(2*s.closes))
	}
	if limit == 0 {
		return
	}
	served := c.served
	s.after(limit, func() {
		if c.served == served {
			s.close(c)
		}
	})
}

func lower(limit, other time.Duration) time.Duration {
	if limit == 0 {
		return other
	}
	return min(limit, other)
}

// close is called when the server closes the connection.
func (s *simulation) close(c *simulated) {
	if c.closed {
		return
	}
	c.closed = true
	s.after(s.travel(), func() {
		if !c.pooled {
			return
		}
		s.idle = slices.DeleteFunc(s.idle, func(other *simulated) bool { return other == c })
		c.pooled = false
		s.rule.Close(s.now-c.released, s.now)
	})
}
