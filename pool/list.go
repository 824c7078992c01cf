package pool

// list is an intrusive doubly linked ring. Its elements hold their own nodes, so adding and removing an element
// allocates nothing, and removing one needs no search. An element can be in several lists, with one node for each.
type list[T any] struct {
	root node[T] // root.owner stays nil, which ends a walk behind the last element
	len  int
}

// node is an element's place in one list. Its owner is set once, when the element is made.
type node[T any] struct {
	prev, next *node[T]
	owner      *T
}

func (l *list[T]) init() {
	l.root.prev, l.root.next = &l.root, &l.root
}

// first and last return nil if the list is empty. Behind the last element, n.next.owner is nil.
func (l *list[T]) first() *T { return l.root.next.owner }
func (l *list[T]) last() *T  { return l.root.prev.owner }

func (l *list[T]) pushBack(n *node[T]) { l.insertBefore(n, &l.root) }

func (l *list[T]) insertBefore(n, mark *node[T]) {
	n.prev, n.next = mark.prev, mark
	n.prev.next, mark.prev = n, n
	l.len++
}

func (l *list[T]) remove(n *node[T]) {
	n.prev.next, n.next.prev = n.next, n.prev
	n.prev, n.next = nil, nil
	l.len--
}

// linked reports whether the node is in its list.
func (n *node[T]) linked() bool { return n.next != nil }
