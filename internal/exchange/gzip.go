package exchange

import (
	"compress/gzip"
	"io"
	"net/http"
	"sync"

	"github.com/peerpool/peerpool/internal/ascii"
)

// EncodedBody is the body of a response as the server sent it.
type EncodedBody interface {
	io.ReadCloser
	// Closed returns the error that a Read returns after Close. It returns nil before Close.
	Closed() error
}

// IsGzip reports whether a response's header says that its body is encoded with gzip.
func IsGzip(header http.Header) bool {
	v := header["Content-Encoding"]
	return len(v) > 0 && ascii.EqualFold(v[0], "gzip")
}

// Ungzip makes resp look as if the server had not compressed it: its Body decodes body.
func Ungzip(resp *http.Response, body EncodedBody) {
	resp.Header.Del("Content-Encoding")
	resp.Header.Del("Content-Length")
	resp.ContentLength = -1
	resp.Uncompressed = true
	resp.Body = &gzipBody{body: body}
}

// gzipBody decodes a body for a caller that did not ask for gzip. The first Read makes the decoder, because gzip.NewReader
// reads.
type gzipBody struct {
	body EncodedBody
	mu   sync.Mutex // guards the fields below; Read holds it while it reads, Close never does
	zr   *gzip.Reader
	err  error
}

func (g *gzipBody) Read(p []byte) (int, error) {
	if IsDiscard(p) {
		return g.body.Read(p)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.body.Closed(); err != nil { // after Close, not even bytes that are already decoded may be read
		return 0, err
	}
	if g.zr == nil && g.err == nil {
		g.zr, g.err = gzip.NewReader(g.body)
	}
	if g.err != nil {
		return 0, g.err
	}
	n, err := g.zr.Read(p)
	if err != nil {
		g.err = err
	}
	return n, err
}

func (g *gzipBody) Close() error { return g.body.Close() }
