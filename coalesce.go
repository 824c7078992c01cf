package peerpool

import "sync"

// coalescer runs a function that brings something up to date, for all goroutines that ask for that at about the same time.
// Only one goroutine runs it. Those that ask meanwhile do not wait: the function runs once more after it has returned. So
// the function may call hooks that ask for it again. The zero coalescer is ready to use.
type coalescer struct {
	mu      sync.Mutex // guards the fields below; nothing is called while it is held
	running bool
	due     bool     // somebody has asked since the latest run began
	then    []func() // called after the next run
}

// run makes update run, and then calls then if it is not nil. If another goroutine runs update, that goroutine does both
// after run has returned.
func (c *coalescer) run(update, then func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.due = true
	if then != nil {
		c.then = append(c.then, then)
	}
	if c.running {
		return
	}
	c.running = true
	defer func() { c.running = false }()
	for c.due {
		c.once(update)
	}
}

// once runs update and what is to be called after it. The caller holds mu, which once releases for that time, and takes
// again even if one of them panics.
func (c *coalescer) once(update func()) {
	then := c.then
	c.due, c.then = false, nil
	c.mu.Unlock()
	defer c.mu.Lock()
	update()
	for _, f := range then {
		f()
	}
}
