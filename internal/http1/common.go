package http1

import "net/http"

// commonName returns the name that the line b begins with, in canonical form, and its length as sent; "" and 0 if
// it is no common name, or not spelled as usual. Most are: they need not be looked at byte by byte, and a header
// need not hold a copy of them.
func commonName(b []byte) (name string, length int) {
	for i := range common[b[0]%initials] {
		c := &common[b[0]%initials][i]
		if n := len(c.sent); len(b) > n && b[n] == ':' && string(b[:n]) == c.sent {
			return c.name, n
		}
	}
	return "", 0
}

// initials is how many kinds of first letters there are, and a bit more.
const initials = 32

type commonField struct{ sent, name string }

// common are the names that most responses are made of, by their first letter.
var common = func() (common [initials][]commonField) {
	for _, sent := range []string{
		"Accept-Ranges", "Access-Control-Allow-Origin", "Age", "Alt-Svc",
		"Content-Type", "Content-Length", "Connection", "Cache-Control", "Content-Encoding",
		"Date", "ETag", "Etag", "Expires", "Keep-Alive", "Last-Modified", "Location", "Pragma",
		"Server", "Set-Cookie", "Strict-Transport-Security", "Transfer-Encoding", "Vary", "Via",
		"X-Request-Id", "X-Request-ID", "X-Content-Type-Options", "X-Frame-Options", "X-Powered-By", "X-Cache",
	} {
		list := &common[sent[0]%initials]
		*list = append(*list, commonField{sent, http.CanonicalHeaderKey(sent)})
	}
	return common
}()
