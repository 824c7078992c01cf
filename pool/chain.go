package pool

// chain is a list of connections: list once more, only without a node that knows its owner. There are many idle
// connections, and each is in three chains.
type chain[K comparable, C Conn] struct {
	first, last *entry[K, C]
	len         int
	kind        chainKind // set once
}

// chainKind says which of its links an entry is in a chain by.
type chainKind uint8

const (
	inGroup chainKind = iota // among the idle of its group, or among the spare if it is shared
	inPool                   // among all that are idle
	inAll                    // among all of its group
	chainKinds
)

// links are an entry's neighbors in one chain, nil at its ends.
type links[K comparable, C Conn] struct{ prev, next *entry[K, C] }

func (c *chain[K, C]) pushFront(e *entry[K, C]) {
	e.in[c.kind] = links[K, C]{next: c.first}
	if c.first == nil {
		c.last = e
	} else {
		c.first.in[c.kind].prev = e
	}
	c.first = e
	c.len++
}

func (c *chain[K, C]) pushBack(e *entry[K, C]) {
	e.in[c.kind] = links[K, C]{prev: c.last}
	if c.last == nil {
		c.first = e
	} else {
		c.last.in[c.kind].next = e
	}
	c.last = e
	c.len++
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
	c.len--
}

// has says whether the entry is in the chain, and not whether it is in another one of the same kind.
func (c *chain[K, C]) has(e *entry[K, C]) bool { return e.in[c.kind].prev != nil || c.first == e }
