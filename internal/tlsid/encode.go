package tlsid

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"reflect"
	"slices"
	"sync"
)

// encoder writes values into a SHA-256. Two different sequences of values of the same types never write the same bytes,
// because a number has eight bytes, and the length of any other value precedes it.
type encoder struct {
	hash hash.Hash
	word [8]byte
	text []byte // scratch space for text, which holds no secrets
	tied bool   // a value has no contents to compare, so the object that it came with counts
}

// encoders hold encoders that are not in use. A client that opens a connection for each request makes a fingerprint each time.
var encoders = sync.Pool{New: func() any { return &encoder{hash: sha256.New()} }}

// newEncoder starts an encoding, which sum ends. what is a name that keeps the kinds of fingerprints apart.
func newEncoder(what string) *encoder {
	e := encoders.Get().(*encoder)
	e.string(what)
	return e
}

func (e *encoder) uint(n uint64) {
	binary.BigEndian.PutUint64(e.word[:], n)
	e.hash.Write(e.word[:])
}

func (e *encoder) bool(b bool) {
	if b {
		e.uint(1)
	} else {
		e.uint(0)
	}
}

func (e *encoder) bytes(b []byte) {
	e.uint(uint64(len(b)))
	e.hash.Write(b)
}

func (e *encoder) string(s string) {
	e.uint(uint64(len(s)))
	e.text = append(e.text[:0], s...)
	e.hash.Write(e.text)
}

func (e *encoder) digest(d [sha256.Size]byte) { e.hash.Write(d[:]) }

// function writes whether fn, a value of any function type, is set and, if it is, which code it runs. Closures of the
// same code may have captured different values, so the origin counts, too.
func (e *encoder) function(fn any) {
	v := reflect.ValueOf(fn)
	e.bool(!v.IsNil())
	if !v.IsNil() {
		e.uint(uint64(v.Pointer()))
		e.tied = true
	}
}

// object writes whether the interface value is set. If it is, the origin counts.
func (e *encoder) object(value any) {
	e.bool(value != nil)
	if value != nil {
		e.tied = true
	}
}

// sum returns the SHA-256 and ends the encoding. The encoder must not be used any more.
func (e *encoder) sum() (sum [sha256.Size]byte) {
	e.text = e.hash.Sum(e.text[:0])
	copy(sum[:], e.text)
	e.hash.Reset() // its state depends on private keys
	e.tied = false
	encoders.Put(e)
	return sum
}

// set writes numbers whose order and repetition have no meaning.
func set[T ~uint16](e *encoder, numbers []T) {
	sorted := slices.Clone(numbers)
	slices.Sort(sorted)
	sorted = slices.Compact(sorted)
	e.uint(uint64(len(sorted)))
	for _, n := range sorted {
		e.uint(uint64(n))
	}
}
