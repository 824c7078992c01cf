package pool

import (
	"testing"
	"unique"
	"unsafe"
)

// TestAnIdleConnectionTakesLittleMemory keeps the pool's own part of it from growing into the next of the allocator's
// sizes, on machines of 64 bits and with the largest kind of Conn there usually is, an interface.
func TestAnIdleConnectionTakesLittleMemory(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("the sizes are those of 64 bits")
	}
	type key = unique.Handle[peerKey]
	if size := unsafe.Sizeof(entry[key, Conn]{}); size > 128 {
		t.Errorf("an entry has %d bytes, want at most 128", size)
	}
	if size := unsafe.Sizeof(group[key, Conn]{}); size > 208 {
		t.Errorf("a group has %d bytes, want at most 208", size)
	}
}
