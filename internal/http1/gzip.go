package http1

import (
	"compress/gzip"
	"net/http"
	"sync"

	"github.com/peerpool/peerpool/internal/ascii"
	"github.com/peerpool/peerpool/internal/exchange"
)

func isGzip(header http.Header) bool {
	v := header["Content-Encoding"]
	return len(v) > 0 && ascii.EqualFold(v[0], "gzip")
}

// ungzip makes the response look as if it had never been compressed.
func (e *Exchange) ungzip() {
	e.resp.Header.Del("Content-Encoding")
	e.resp.Header.Del("Content-Length")
	e.resp.ContentLength = -1
	e.resp.Uncompressed = true
	e.resp.Body = &gzipBody{body: (*body)(e)}
}

// gzipBody decodes a body that the caller did not ask to be encoded. The decoder is made at the first
// Read, since making it reads.
type gzipBody struct {
	body *body
	mu   sync.Mutex // guards what follows; held while reading, never by Close
	zr   *gzip.Reader
	err  error
}

func (g *gzipBody) Read(p []byte) (int, error) {
	if exchange.IsDiscard(p) {
		return g.body.Read(p)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.body.state.has(bodyClosed) { // what is decoded already must not be read either
		return 0, ErrBodyReadAfterClose
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
