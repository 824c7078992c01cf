package tlsid

import (
	"crypto/x509"
	"reflect"
	"runtime"
	"sync"
	"weak"
)

// rootSets numbers the sets of trust roots in use.
var rootSets rootTable

// Roots returns a number for the set of trust roots in pool. Pools of equal contents have equal numbers, and any others
// have different ones. The number of a nil pool, which stands for the roots of the system, is zero. A pool that has
// certificates with constraints ([x509.CertPool.AddCertWithConstraint]) is equal only to itself, because functions
// cannot be compared. A clone of it is another pool.
//
// If certificates are added to a pool after a call, the next call returns another number. A set keeps its number as
// long as any pool that was found to hold the set is alive.
//
// Roots is safe for concurrent use, as long as no goroutine writes to pool meanwhile.
func Roots(pool *x509.CertPool) uint64 {
	if pool == nil {
		return 0
	}
	return rootSets.serial(pool)
}

// rootTable finds the set that a pool holds. Only the Equal method of x509.CertPool sees the contents of a pool, so
// each set keeps a clone to compare with. A set lives as long as the pools that were found to hold it. If it is
// forgotten, rootTable does not give its number out again. The zero value is ready to use.
type rootTable struct {
	mu   sync.Mutex // guards all fields below; only pools are read under it
	last uint64
	sets map[*rootSet]struct{}
	held map[weak.Pointer[x509.CertPool]]*rootSet // what each living pool held when it was last seen
}

// rootSet is a set of trust roots.
type rootSet struct {
	serial  uint64
	roots   *x509.CertPool              // a clone, never written to
	only    weak.Pointer[x509.CertPool] // the only pool that may hold it; zero if any pool may
	holders int                         // entries in held
}

func (t *rootTable) serial(pool *x509.CertPool) uint64 {
	ref := weak.Make(pool)
	serial, added := t.lookUp(pool, ref)
	if added {
		runtime.AddCleanup(pool, t.forget, ref)
	}
	return serial
}

// lookUp returns the number of the set in pool, and whether pool is new to the table.
func (t *rootTable) lookUp(pool *x509.CertPool, ref weak.Pointer[x509.CertPool]) (serial uint64, added bool) {
	var only weak.Pointer[x509.CertPool]
	if mayConstrain(pool) {
		only = ref
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.held[ref]
	if before != nil && before.equal(pool, only) {
		return before.serial, false
	}
	set := t.find(pool, only)
	set.holders++
	if t.held == nil {
		t.held = make(map[weak.Pointer[x509.CertPool]]*rootSet)
	}
	t.held[ref] = set
	t.release(before)
	return set.serial, before == nil
}

// find returns the set that equals the contents of pool. If there is none, it makes one. The caller holds mu.
func (t *rootTable) find(pool *x509.CertPool, only weak.Pointer[x509.CertPool]) *rootSet {
	for set := range t.sets {
		if set.equal(pool, only) {
			return set
		}
	}
	if t.sets == nil {
		t.sets = make(map[*rootSet]struct{})
	}
	t.last++
	set := &rootSet{serial: t.last, roots: pool.Clone(), only: only}
	t.sets[set] = struct{}{}
	return set
}

// release removes one holder from set, which may be nil. The caller holds mu.
func (t *rootTable) release(set *rootSet) {
	if set == nil {
		return
	}
	set.holders--
	if set.holders == 0 {
		delete(t.sets, set)
	}
}

// forget runs on a goroutine of the runtime after the pool was collected.
func (t *rootTable) forget(ref weak.Pointer[x509.CertPool]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.release(t.held[ref])
	delete(t.held, ref)
}

func (s *rootSet) equal(pool *x509.CertPool, only weak.Pointer[x509.CertPool]) bool {
	return s.only == only && s.roots.Equal(pool)
}

// constraints says where a CertPool keeps the constraints of its certificates: in a field of the elements of a slice.
// CertPool.Equal does not look at them, so two pools can be equal although one of them trusts less. known is false if a
// Go release has other fields in either type. Each pool is then equal only to itself.
var constraints = func() (at struct {
	certs, constraint []int
	known             bool
}) {
	pool := reflect.TypeFor[x509.CertPool]()
	certs, ok := pool.FieldByName("lazyCerts")
	if !ok || pool.NumField() != 4 || certs.Type.Kind() != reflect.Slice || certs.Type.Elem().Kind() != reflect.Struct {
		return at
	}
	constraint, ok := certs.Type.Elem().FieldByName("constraint")
	at.certs, at.constraint = certs.Index, constraint.Index
	at.known = ok && certs.Type.Elem().NumField() == 3 && constraint.Type.Kind() == reflect.Func
	return at
}()

// mayConstrain reports whether a certificate in pool has a constraint. It returns true if that cannot be known.
func mayConstrain(pool *x509.CertPool) bool {
	if !constraints.known {
		return true
	}
	certs := reflect.ValueOf(pool).Elem().FieldByIndex(constraints.certs)
	for i := range certs.Len() {
		if !certs.Index(i).FieldByIndex(constraints.constraint).IsNil() {
			return true
		}
	}
	return false
}
