package http2

import "golang.org/x/net/http2/hpack"

// Compressing the fields of requests (RFC 7541). Most fields of a request are in the tables of HPACK already, because an earlier
// request has had them, too. Their representation is then a number of a few bytes, and stays the same until the dynamic table
// changes. The Encoder looks each field up in several maps. A compressor remembers the numbers instead.

// compressor compresses fields into the pending frames. Conn.mu guards it.
type compressor struct {
	encoder *hpack.Encoder
	out     *output

	// known holds fields whose numbers are valid. Any change of the dynamic table moves the numbers.
	known []indexed
	next  int // which of known to replace next
}

// indexed is a field that is in a table, and its representation (RFC 7541 section 6.1).
type indexed struct {
	field
	code [maxIndexed]byte
	size uint8 // bytes of code
}

const (
	maxKnown   = 16
	maxIndexed = 4 // bytes; a longer number is not remembered

	indexedBit = 0x80 // set in the first byte of the representation of a field that is in a table, and in no other
)

func newCompressor(out *output, tableLimit uint32) compressor {
	k := compressor{encoder: hpack.NewEncoder(out), out: out}
	k.encoder.SetMaxDynamicTableSizeLimit(tableLimit)
	return k
}

// setTableSize sets how large the dynamic table may be, as the server's settings say.
func (k *compressor) setTableSize(n uint32) {
	k.encoder.SetMaxDynamicTableSize(n)
	k.forget()
}

// forget drops what the compressor has remembered.
func (k *compressor) forget() { k.known, k.next = nil, 0 }

// write appends the representation of a field to the pending frames.
func (k *compressor) write(f field) {
	b := k.out.bytes()
	for i := range k.known {
		if have := &k.known[i]; have.field == f {
			*b = append(*b, have.code[:have.size]...)
			return
		}
	}
	start := len(*b)
	k.encoder.WriteField(hpack.HeaderField{Name: f.name, Value: f.value}) // it writes to memory, so it does not fail
	k.learn(f, (*b)[start:])
}

// learn remembers a field that is in a table. If the field was not, the table may have changed.
func (k *compressor) learn(f field, code []byte) {
	if code[0]&indexedBit == 0 {
		k.known, k.next = k.known[:0], 0
		return
	}
	if len(code) > maxIndexed {
		return
	}
	one := indexed{field: f, size: uint8(len(code))}
	copy(one.code[:], code)
	if len(k.known) < maxKnown {
		k.known = append(k.known, one)
		return
	}
	k.known[k.next] = one
	k.next = (k.next + 1) % maxKnown
}
