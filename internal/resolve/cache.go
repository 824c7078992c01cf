package resolve

import (
	"container/list"
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// MaxHosts is how many hosts a [Cache] remembers; the one unused for longest goes first.
	MaxHosts = 1024

	// MaxStale is how long an expired answer is still used while the resolver gives no newer one
	// (RFC 8767 section 5 recommends one to three days). After that a caller waits for an answer.
	MaxStale = 24 * time.Hour

	// A refresh that failed is tried again after firstPause, and after twice the pause each time it
	// fails again, up to longestPause.
	firstPause   = time.Second
	longestPause = time.Minute
)

// Cache remembers what a resolver said about hosts. Its zero value is empty and ready; it must not be
// copied. It is safe for concurrent use. It keeps neither goroutine nor timer but for the look-ups
// under way.
type Cache struct {
	// mu guards everything below. No resolver runs under it.
	mu      sync.Mutex
	known   map[question]*list.Element // of used, holding *entry
	used    list.List                  // most recently used first
	flights map[question]*flight
	version uint64 // of the newest answer
}

type question struct{ network, host string }

// An entry is an answer and when to ask again.
type entry struct {
	question question
	answer   Answer
	learned  time.Time
	pause    time.Duration // since the last refresh failed; zero if none did
	retry    time.Time     // no refresh before it
}

// Lookup returns the addresses of host on network ("ip", "ip4" or "ip6"), as r gave them.
//
// An answer younger than ttl is returned at once. An older one is returned at once as well and
// refreshed by one look-up in the background, which nobody waits for and which runs without the
// values of ctx: it belongs to no request. If that fails the old answer stays, for [MaxStale] at most.
//
// Without an answer the callers wait for one look-up, each until its own ctx ends, which returns the
// cause of ctx. The look-up keeps the values of the ctx that started it but not its end, and is given
// up after [LookupTimeout]. Its error comes back as the resolver gave it, or is a [*net.DNSError];
// it is not remembered.
//
// Hosts are told apart byte by byte; one Cache is meant for one resolver.
func (c *Cache) Lookup(ctx context.Context, r Resolver, network, host string, ttl time.Duration) (Answer, error) {
	q := question{network, host}
	now := time.Now()

	c.mu.Lock()
	if e := c.recall(q, now, max(ttl, 0)); e != nil {
		answer := e.answer
		if now.Sub(e.learned) >= ttl && !now.Before(e.retry) {
			c.join(context.Background(), r, q)
		}
		c.mu.Unlock()
		return answer, nil
	}
	f := c.join(context.WithoutCancel(ctx), r, q)
	c.mu.Unlock()
	return f.wait(ctx)
}

// Refresh looks host up now, however young the answer is that is known, and waits for it until ctx ends. Several callers
// at a time, and those who call Lookup, share a look-up. Lookup then returns what has come of it.
func (c *Cache) Refresh(ctx context.Context, r Resolver, network, host string) {
	c.mu.Lock()
	f := c.join(context.WithoutCancel(ctx), r, question{network, host})
	c.mu.Unlock()
	f.wait(ctx)
}

// recall returns what is known, unless it is too old to be used at all. The caller holds c.mu.
func (c *Cache) recall(q question, now time.Time, ttl time.Duration) *entry {
	element := c.known[q]
	if element == nil {
		return nil
	}
	e := element.Value.(*entry)
	if now.Sub(e.learned)-ttl >= MaxStale {
		c.forget(element)
		return nil
	}
	c.used.MoveToFront(element)
	return e
}

// learn remembers an answer and returns it. The caller holds c.mu.
func (c *Cache) learn(q question, a Answer, now time.Time) Answer {
	element := c.known[q]
	if element == nil {
		if c.known == nil {
			c.known = make(map[question]*list.Element)
		}
		element = c.used.PushFront(&entry{question: q})
		c.known[q] = element
		if c.used.Len() > MaxHosts {
			c.forget(c.used.Back())
		}
	}
	e := element.Value.(*entry)
	if !slices.Equal(e.answer.Addrs, a.Addrs) {
		c.version++
		e.answer = Answer{Addrs: a.Addrs, Version: c.version}
	}
	e.learned, e.pause, e.retry = now, 0, time.Time{}
	return e.answer
}

// postpone puts off the next refresh after one that failed. The caller holds c.mu.
func (c *Cache) postpone(q question, now time.Time) {
	element := c.known[q]
	if element == nil {
		return
	}
	e := element.Value.(*entry)
	e.pause = min(max(2*e.pause, firstPause), longestPause)
	e.retry = now.Add(e.pause)
}

func (c *Cache) forget(element *list.Element) {
	delete(c.known, element.Value.(*entry).question)
	c.used.Remove(element)
}
