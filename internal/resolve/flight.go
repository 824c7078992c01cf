package resolve

import (
	"context"
	"net/netip"
	"time"
)

// LookupTimeout limits one look-up, even if the resolver ignores its context. It is longer than the system's resolver
// takes to ask three servers twice, at five seconds each.
const LookupTimeout = 35 * time.Second

// A flight is one look-up under way.
type flight struct {
	landed chan struct{} // closed once answer and err are final
	answer Answer
	err    error
}

// join returns the flight for q. If there is none, it starts one. The caller holds c.mu.
func (c *Cache) join(ctx context.Context, r Resolver, q question) *flight {
	if f := c.flights[q]; f != nil {
		return f
	}
	if c.flights == nil {
		c.flights = make(map[question]*flight)
	}
	f := &flight{landed: make(chan struct{})}
	c.flights[q] = f
	go c.fly(ctx, r, q, f)
	return f
}

// wait returns the result of the flight, or the cause of ctx if ctx ends first.
func (f *flight) wait(ctx context.Context) (Answer, error) {
	select {
	case <-f.landed:
		answer := f.answer
		answer.Waited = f.err == nil
		return answer, f.err
	case <-ctx.Done():
		return Answer{}, context.Cause(ctx)
	}
}

// fly asks the resolver. Its goroutine belongs to the Cache and ends when the resolver returns. The flight lands at
// that time, or when its time is up. If the resolver panics or ends its goroutine, the flight lands with an error.
func (c *Cache) fly(ctx context.Context, r Resolver, q question, f *flight) {
	ctx, cancel := context.WithTimeout(ctx, LookupTimeout)
	giveUp := context.AfterFunc(ctx, func() { c.land(q, f, nil, TimedOut(q.host)) })

	var addrs []netip.Addr
	err := brokenResolver(q.host, "ended its goroutine")
	defer func() {
		if p := recover(); p != nil {
			err = brokenResolver(q.host, "panicked: ", p)
		}
		c.land(q, f, addrs, err)
		giveUp()
		cancel()
	}()
	addrs, err = r.LookupNetIP(ctx, q.network, q.host)
}

// land makes the result known, once. If the flight was given up before, land drops the result.
func (c *Cache) land(q question, f *flight, addrs []netip.Addr, err error) {
	if addrs = usable(q.network, addrs); len(addrs) == 0 && err == nil {
		err = NotFound(q.host)
	}
	now := time.Now()

	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flights[q] != f {
		return
	}
	delete(c.flights, q)
	if err != nil {
		f.err = err
		c.postpone(q, now)
	} else {
		f.answer = c.learn(q, Answer{Addrs: addrs}, now)
	}
	close(f.landed)
}
