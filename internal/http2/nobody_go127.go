//go:build go1.27

package http2

import (
	"io"
	"net/http"
)

// noBody is the body of a response that has none: since Go 1.27 net/http's is [http.NoBody] over HTTP/2 as well.
var noBody io.ReadCloser = http.NoBody
