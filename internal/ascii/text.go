package ascii

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// IsText reports whether s has no control character except tabs: no NUL and no line end above all (RFC 9110 section 5.5).
func IsText(s string) bool { return TextEnd(unsafe.Slice(unsafe.StringData(s), len(s)), 0) == len(s) }

// TextEnd returns the index of the first control character from index at on, or the length of b. A tab is none
// (RFC 9110 section 5.5).
func TextEnd(b []byte, at int) int {
	for {
		if at = FirstBelow(b, at, ' '); at == len(b) || b[at] != '\t' {
			return at
		}
		at++
	}
}

// FirstBelow returns the index of the first byte that is less than limit, or DEL, from index at on; or the length of b.
// limit is at most 0x80. It looks at eight bytes at a time.
func FirstBelow(b []byte, at int, limit byte) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for ; at+8 <= len(b); at += 8 {
		x := binary.LittleEndian.Uint64(b[at:])
		less := (x - ones*uint64(limit)) &^ x
		del := x ^ ones*0x7f
		del = (del - ones) &^ del
		if found := (less | del) & tops; found != 0 { // of which the lowest bit is always right
			return at + bits.TrailingZeros64(found)/8
		}
	}
	for ; at < len(b); at++ {
		if b[at] < limit || b[at] == 0x7f {
			return at
		}
	}
	return at
}
