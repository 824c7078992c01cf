//go:build go1.27

package http2

import (
	"io"
	"net/http"
)

// noBody is the body of a response that has none. Since Go 1.27, net/http uses [http.NoBody] over HTTP/2 too.
var noBody io.ReadCloser = http.NoBody
