package exchange

import (
	"compress/gzip"
	"io"
	"net/http"
	"sync"

	"github.com/peerpool/peerpool/internal/ascii"
)

// EncodedBody is the body of a response as it came over the wire.
type EncodedBody interface {
	io.ReadCloser
	// Closed returns what a Read returns after Close has been called; nil before.
	Closed() error
}

// IsGzip reports whether a response's header says that its body is encoded with gzip.
func IsGzip(header http.Header) bool {
	v := header["Content-Encoding"]
	return len(v) > 0 && ascii.EqualFold(v[0], "gzip")
}

// Ungzip makes a response look as if it had never been compressed.
func Ungzip(resp *http.Response, body EncodedBody) {
	resp.Header.Del("Content-Encoding")
	resp.Header.Del("Content-Length")
	resp.ContentLength = -1
	resp.Uncompressed = true
	resp.Body = &gzipBody{body: body}
}

// gzipBody decodes a body that the caller did not ask to be encoded. The first Read makes the decoder, since making it reads.
type gzipBody struct {
	body EncodedBody
	mu   sync.Mutex // guards what follows; held while reading, never by Close
	zr   *gzip.Reader
	err  error
}

func (g *gzipBody) Read(p []byte) (int, error) {
	if IsDiscard(p) {
		return g.body.Read(p)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.body.Closed(); err != nil { // what is decoded already must not be read either
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
