// Package ascii compares and trims the text of protocols, in which a letter is one of A to Z and white space is a space
// or a tab (RFC 9110 section 5.6). The functions of package strings with similar names follow Unicode: to them the
// Kelvin sign U+212A is a k. A server or proxy that reads the same bytes may not treat it as a k.
package ascii

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// EqualFold says whether s and t are equal but for the case of ASCII letters.
func EqualFold(s, t string) bool {
	if len(s) != len(t) {
		return false
	}
	if s == t { // as it mostly is
		return true
	}
	for i := range len(s) {
		if Lower(s[i]) != Lower(t[i]) {
			return false
		}
	}
	return true
}

// ToLower returns s with its ASCII letters in lower case.
func ToLower(s string) string {
	for i := range len(s) {
		if Lower(s[i]) != s[i] {
			b := []byte(s)
			for ; i < len(b); i++ {
				b[i] = Lower(b[i])
			}
			return string(b)
		}
	}
	return s
}

// TrimSpace returns s without the spaces and tabs at its ends.
func TrimSpace(s string) string {
	for s != "" && isSpace(s[0]) {
		s = s[1:]
	}
	for s != "" && isSpace(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

// Lower returns c, if it is a letter in lower case.
func Lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// Upper returns c, if it is a letter in upper case.
func Upper(c byte) byte {
	if 'a' <= c && c <= 'z' {
		c -= 'a' - 'A'
	}
	return c
}

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
