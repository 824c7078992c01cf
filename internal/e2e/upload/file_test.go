package upload_test

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// midway are what happens in the middle of a body. cancel cancels the request.
var midway = map[string]func(c *httptestutil.WireConn, cancel func()){
	"resets": func(c *httptestutil.WireConn, _ func()) { c.Reset() },
	"closes": func(c *httptestutil.WireConn, _ func()) { c.Close() },
	"answers": func(c *httptestutil.WireConn, _ func()) {
		c.Write("HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n")
		c.Stall()
	},
	"answers, reads on and closes": func(c *httptestutil.WireConn, _ func()) {
		c.Write("HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		io.Copy(io.Discard, c.Conn())
	},
	"stalls until the client gives up": func(c *httptestutil.WireConn, cancel func()) {
		cancel()
		c.Stall()
	},
}

// The system copies a file to the socket, and moves the offset of the file while it does. A caller that rewinds the file
// shares that offset.
func TestAFileThatIsRewoundAfterAFailureArrivesWhole(t *testing.T) {
	data := make([]byte, 24<<20) // more than sockets hold
	rand.NewChaCha8([32]byte{}).Read(data)
	want := testkit.DigestOf(string(data), int64(len(data)))
	file := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, fail := range midway {
		t.Run(name, func(t *testing.T) {
			httptestutil.CheckLeaks(t)
			for range 3 {
				ctx, cancel := context.WithCancel(t.Context())
				opts := httptestutil.WireOptions{Bound: time.Hour} // so much data takes a busy machine a while
				wire := httptestutil.NewWireWith(t, opts, httptestutil.PerConn(func(c *httptestutil.WireConn) {
					if req := c.ReadHead(); req != nil {
						drainUpTo(req, rand.Int64N(1<<20))
						fail(c, cancel)
					}
				}, testkit.Digests))
				f, err := os.Open(file)
				if err != nil {
					t.Fatal(err)
				}
				s := testkit.Observe(t, &peerpool.Transport{})
				put := func(ctx context.Context) (string, error) {
					req := testkit.NewRequest(t, http.MethodPut, wire.URL(), io.NopCloser(f)).WithContext(ctx)
					req.ContentLength = int64(len(data))
					return s.Try(req)
				}
				if _, err := put(ctx); err == nil {
					t.Error("the first attempt did not fail")
				}
				cancel()
				if _, err := f.Seek(0, io.SeekStart); err != nil {
					t.Fatal(err)
				}
				if got, err := put(t.Context()); err != nil || got != want {
					t.Errorf("the second attempt: the server got %s, %v", got, err)
				}
				f.Close()
			}
		})
	}
}
