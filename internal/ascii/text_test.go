package ascii

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http/httpguts"
)

// TestEveryByteIsToldApartWhereverItStands tries every byte at every position, because the code looks at eight bytes at a
// time.
func TestEveryByteIsToldApartWhereverItStands(t *testing.T) {
	const size = 19
	for c := range 256 {
		for at := range size {
			for from := range at + 1 {
				for _, rest := range []string{"\x80", "~", "\x00\x1f\x7f"} { // what stands behind it
					text := slices.Concat([]byte(strings.Repeat("\xff \t", size)[:at]), []byte{byte(c)}, []byte(strings.Repeat(rest, size)[:size]))
					want := at
					if c >= ' ' && c != 0x7f || c == '\t' {
						want = len(text)
						if rest[0] == 0 {
							want = at + 1
						}
					}
					if got := TextEnd(text, from); got != want {
						t.Fatalf("%q ends at %d from %d on, want %d", text, got, from, want)
					}
				}
			}
		}
	}
}

func TestTextIsWhatAFieldMayHave(t *testing.T) {
	for c := range 256 {
		for _, before := range []string{"", "a", "\t \xff", "0123456789"} {
			s := before + string([]byte{byte(c)}) + "z"
			if got, want := IsText(s), httpguts.ValidHeaderFieldValue(s); got != want {
				t.Errorf("%q: %t", s, got)
			}
		}
	}
	if !IsText("") {
		t.Error("an empty slice does not count as text")
	}
}
