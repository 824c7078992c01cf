package tlsid

import (
	"runtime"
	"sync"
	"weak"
)

// objects gives each object of type T a number, and gives the same object the same number each time. It does not keep
// objects alive. When an object is collected, its entry goes, too. objects does not give the number out again, even if
// another object gets the same address: a weak pointer to a dead object never equals one to a new object. The zero
// value is ready to use.
type objects[T any] struct {
	mu      sync.Mutex // guards all fields below; nothing is called under it
	last    uint64
	serials map[weak.Pointer[T]]uint64
}

// serial returns the number of *p. It is not zero.
func (t *objects[T]) serial(p *T) uint64 {
	ref := weak.Make(p)
	n, added := t.lookUp(ref)
	if added {
		runtime.AddCleanup(p, t.forget, ref)
	}
	return n
}

func (t *objects[T]) lookUp(ref weak.Pointer[T]) (n uint64, added bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n, ok := t.serials[ref]; ok {
		return n, false
	}
	if t.serials == nil {
		t.serials = make(map[weak.Pointer[T]]uint64)
	}
	t.last++
	t.serials[ref] = t.last
	return t.last, true
}

// forget runs on a goroutine of the runtime after the object was collected.
func (t *objects[T]) forget(ref weak.Pointer[T]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.serials, ref)
}

// maxValues limits how many keys are remembered and thereby kept alive.
const maxValues = 1024

// values gives a number to each value that differs from the others in the sense of ==. It keeps the values, because an
// interface may hold anything, and another value could get the same address. It therefore has a limit, and forgets the
// oldest value.
type values struct {
	mu      sync.Mutex // guards all fields below; nothing is called under it
	last    uint64
	serials map[any]uint64
	ring    []any // the values in order of arrival
	oldest  int
}

// serial returns the number of v, which must be comparable. A value that was forgotten gets a new number.
func (t *values) serial(v any) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n, ok := t.serials[v]; ok {
		return n
	}
	if t.serials == nil {
		t.serials = make(map[any]uint64)
	}
	if len(t.ring) < maxValues {
		t.ring = append(t.ring, v)
	} else {
		delete(t.serials, t.ring[t.oldest])
		t.ring[t.oldest] = v
		t.oldest = (t.oldest + 1) % maxValues
	}
	t.last++
	t.serials[v] = t.last
	return t.last
}
