package pool

// chain is a list of connections. Unlike the nodes of a list, its links do not hold their owner, which saves memory:
// there are many idle connections, and each is in three chains.
type chain[K comparable, C Conn] struct {
	first, last *entry[K, C]
	n           int32
	kind        chainKind // set once
}

func (c *chain[K, C]) len() int { return int(c.n) }

// chainKind says which of an entry's links a chain uses.
type chainKind uint8

const (
	inGroup chainKind = iota // the idle connections of a group, or its spare ones, which are shared
	inPool                   // all idle connections of the pool
	inAll                    // all connections of a group
	chainKinds
)

// links are an entry's neighbors in one chain. At an end of the chain, the neighbor is nil.
type links[K comparable, C Conn] struct{ prev, next *entry[K, C] }

func (c *chain[K, C]) pushFront(e *entry[K, C]) {
	e.in[c.kind] = links[K, C]{next: c.first}
	if c.first == nil {
		c.last = e
	} else {
		c.first.in[c.kind].prev = e
	}
	c.first = e
	c.n++
}

func (c *chain[K, C]) pushBack(e *entry[K, C]) {
	e.in[c.kind] = links[K, C]{prev: c.last}
	if c.last == nil {
		c.first = e
	} else {
		c.last.in[c.kind].next = e
	}
	c.last = e
	c.n++
}

// insertAfter puts the entry behind another one, or in front of all if mark is nil.
func (c *chain[K, C]) insertAfter(mark, e *entry[K, C]) {
	switch mark {
	case nil:
		c.pushFront(e)
	case c.last:
		c.pushBack(e)
	default:
		next := mark.in[c.kind].next
		e.in[c.kind] = links[K, C]{prev: mark, next: next}
		mark.in[c.kind].next, next.in[c.kind].prev = e, e
		c.n++
	}
}

func (c *chain[K, C]) remove(e *entry[K, C]) {
	at := &e.in[c.kind]
	if at.prev == nil {
		c.first = at.next
	} else {
		at.prev.in[c.kind].next = at.next
	}
	if at.next == nil {
		c.last = at.prev
	} else {
		at.next.in[c.kind].prev = at.prev
	}
	*at = links[K, C]{}
	c.n--
}

// has reports whether the entry is in the chain. The entry must not be in another chain of the same kind, because has
// cannot tell the two apart.
func (c *chain[K, C]) has(e *entry[K, C]) bool { return e.in[c.kind].prev != nil || c.first == e }
