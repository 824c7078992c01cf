package resolve

import (
	"container/list"
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// MaxHosts is how many hosts a [Cache] remembers. The host that was unused for longest goes first.
	MaxHosts = 1024

	// MaxStale is how long an expired answer is still used if the resolver gives no newer one (RFC 8767 section 5
	// recommends one to three days). After that, a caller waits for an answer.
	MaxStale = 24 * time.Hour

	// If a refresh fails, it is tried again after firstPause. Each further failure doubles the pause, up to
	// longestPause.
	firstPause   = time.Second
	longestPause = time.Minute
)

// Cache remembers what a resolver said about hosts. The zero value is empty and ready to use. A Cache must not be
// copied. It is safe for concurrent use. It has no goroutine and no timer, except for the look-ups under way.
type Cache struct {
	// mu guards everything below. No resolver runs under it.
	mu      sync.Mutex
	known   map[question]*list.Element // the elements of used, each of which holds an *entry
	used    list.List                  // most recently used first
	flights map[question]*flight
	version uint64 // of the newest answer
	answers uint64 // number of answers so far
}

type question struct{ network, host string }

// An entry is an answer, and the time to ask again.
type entry struct {
	question question
	answer   Answer
	learned  time.Time
	pause    time.Duration // the pause after the last refresh if that failed; otherwise zero
	retry    time.Time     // no refresh begins before then
}

// Lookup returns the addresses of host on network ("ip", "ip4" or "ip6"), as r gave them.
//
// If the Cache has an answer that is younger than ttl, Lookup returns it at once. Lookup also returns an older answer
// at once, and refreshes it with one look-up in the background. No caller waits for that look-up, and it runs without
// the values of ctx, because it belongs to no request. If it fails, the old answer stays, for at most [MaxStale].
//
// If the Cache has no answer, the callers wait for one look-up. A caller whose ctx ends first returns the cause of its
// ctx. The look-up has the values of the ctx that started it, but does not end with that ctx. It is given up after
// [LookupTimeout]. Lookup returns an error as the resolver gave it, or a [*net.DNSError]. The Cache does not remember
// errors.
//
// Hosts are compared byte by byte. Use a Cache with one resolver only.
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

// Refresh looks host up now, whatever the age of the known answer, and waits for the result until ctx ends. Callers of
// Refresh and Lookup at the same time share one look-up. Lookup then returns its result.
func (c *Cache) Refresh(ctx context.Context, r Resolver, network, host string) {
	c.mu.Lock()
	f := c.join(context.WithoutCancel(ctx), r, question{network, host})
	c.mu.Unlock()
	f.wait(ctx)
}

// Known returns the answer that the Cache has, however old, or an Answer without addresses. It asks no resolver.
func (c *Cache) Known(network, host string) Answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	if element := c.known[question{network, host}]; element != nil {
		return element.Value.(*entry).answer
	}
	return Answer{}
}

// recall returns the entry that is known, unless it is too old to be used at all. The caller holds c.mu.
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
	c.answers++
	e.answer.Number = c.answers
	e.learned, e.pause, e.retry = now, 0, time.Time{}
	return e.answer
}

// postpone delays the next refresh after one that failed. The caller holds c.mu.
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
