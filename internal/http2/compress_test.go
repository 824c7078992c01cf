package http2

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// A server decodes what a compressor writes to the fields that were written, whatever came before, and however large the server
// lets the dynamic table be.
func TestCompressedFieldsAreDecodedToThemselves(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		var out output
		k := newCompressor(&out, 4096)
		var got []field
		decoder := hpack.NewDecoder(4096, func(f hpack.HeaderField) { got = append(got, field{f.Name, f.Value}) })
		few, many := 1+random.IntN(20), 1+random.IntN(200)
		for range 200 {
			if random.IntN(20) == 0 {
				k.setTableSize(uint32(random.IntN(3) * random.IntN(2048)))
			}
			want := []field{{":method", "GET"}, {":path", fmt.Sprint("/", random.IntN(many))}, {"accept", "*/*"}}
			for range random.IntN(20) {
				want = append(want, field{fmt.Sprint("x-", random.IntN(few)), fmt.Sprint(random.IntN(many))})
			}
			random.Shuffle(len(want), func(i, j int) { want[i], want[j] = want[j], want[i] })
			for _, f := range want {
				k.write(f)
			}
			got = nil
			if _, err := decoder.Write(*out.pending); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if err := decoder.Close(); err != nil || !slices.Equal(got, want) {
				t.Fatalf("seed %d: decoded to %v, %v; want %v", seed, got, err, want)
			}
			out.pending = nil
		}
	}
}

// A compressor writes the same bytes as an Encoder that looks everything up.
func TestWhatIsRememberedChangesNoByte(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 2))
	var out, plain output
	k := newCompressor(&out, 4096)
	encoder := hpack.NewEncoder(&plain)
	for range 5000 {
		f := field{fmt.Sprint("x-", random.IntN(5)), fmt.Sprint(random.IntN(4 + random.IntN(40)))}
		k.write(f)
		encoder.WriteField(hpack.HeaderField{Name: f.name, Value: f.value})
	}
	if !slices.Equal(*out.pending, *plain.pending) {
		t.Error("the bytes differ")
	}
}

func BenchmarkCompress(b *testing.B) {
	head := fields{
		{":authority", "127.0.0.1:8443"}, {":method", "GET"}, {":path", "/"}, {":scheme", "https"}, {"accept", "*/*"},
		{"authorization", "Bearer 0123456789abcdef"}, {"x-request-id", "42"}, {"user-agent", defaultUserAgent},
	}
	var out output
	k := newCompressor(&out, 4096)
	for b.Loop() {
		for _, f := range head {
			k.write(f)
		}
		*out.pending = (*out.pending)[:0]
	}
}
