package exchange

import "io"

// discardMark is a buffer that no caller can have. A Read into it means Discard. http.Client and middleware put wrappers
// around a body: a Read passes through these to the body, and an additional method would not.
var discardMark [1]byte

// IsDiscard reports whether p is the buffer that Discard passes to Read.
func IsDiscard(p []byte) bool {
	return len(p) == 0 && cap(p) == 1 && &p[:1][0] == &discardMark[0]
}

// Discard prevents the connection below a response body from being used again. A body that does not know Discard sees a Read
// of no bytes.
func Discard(body io.Reader) {
	body.Read(discardMark[:0])
}
