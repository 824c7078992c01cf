package http1

import (
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/exchange"
)

// copiesOfFiles counts the bytes that reach a TCP connection.
type copiesOfFiles struct {
	*net.TCPConn
	copied  int64 // from a file, by the kernel
	written int64
}

// ReadFrom is net.TCPConn's, which calls sendfile for a file and for a part of one.
func (c *copiesOfFiles) ReadFrom(src io.Reader) (int64, error) {
	from := src
	if part, ok := src.(*io.LimitedReader); ok {
		from = part.R
	}
	n, err := c.TCPConn.ReadFrom(src)
	if _, isFile := from.(*os.File); isFile {
		c.copied += n
	}
	return n, err
}

func (c *copiesOfFiles) Write(b []byte) (int, error) {
	n, err := c.TCPConn.Write(b)
	c.written += int64(n)
	return n, err
}

const fileSize = 1 << 20

// If the connection is plain TCP, no byte of the file passes through a buffer of this process.
func TestTheKernelCopiesAFile(t *testing.T) {
	for _, c := range []struct {
		name     string
		body     func(*os.File) io.Reader
		declared int64
		arrives  int64 // bytes at the server
		copied   int64 // of them by the kernel
	}{
		{"all of it", func(f *os.File) io.Reader { return f }, fileSize, fileSize, fileSize},
		{"a file that stays open", func(f *os.File) io.Reader { return io.NopCloser(f) }, fileSize, fileSize, fileSize},
		{"a part", func(f *os.File) io.Reader { return io.LimitReader(f, fileSize/2) }, fileSize / 2, fileSize / 2, fileSize / 2},
		{"not known to be a file", func(f *os.File) io.Reader { return struct{ io.Reader }{f} }, fileSize, fileSize, 0},
		{"of unknown length", func(f *os.File) io.Reader { return f }, -1, fileSize, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, e := uploadFile(t, c.body, c.declared)
			wantBody(t, run(t, e), strconv.FormatInt(c.arrives, 10))
			wantEnd(t, e, exchange.Reusable)
			if e.sending.Unfinished() {
				t.Error("the file counts as not read to its end")
			}
			if conn.copied != c.copied || c.copied > 0 && conn.written > 1000 {
				t.Errorf("the kernel has copied %d bytes of a file, want %d; %d bytes were written otherwise",
					conn.copied, c.copied, conn.written)
			}
		})
	}
}

// The file goes on behind the part that is sent.
func TestAPartOfAFileIsAsLongAsDeclared(t *testing.T) {
	for _, c := range []struct {
		part int64
		says string
	}{
		{fileSize/2 - 1, "ContentLength=524288 with Body length 524287"},
		{fileSize/2 + 1, "ContentLength=524288 with Body length 524289"},
	} {
		_, e := uploadFile(t, func(f *os.File) io.Reader { return io.LimitReader(f, c.part) }, fileSize/2)
		wantBodyError(t, e, c.says)
	}
}

// uploadFile returns an exchange that uploads a file of fileSize, and its connection. The server answers with the number of bytes
// that it has got.
func uploadFile(t *testing.T, body func(*os.File) io.Reader, declared int64) (*copiesOfFiles, *Exchange) {
	t.Helper()
	w := httptestutil.NewWire(t, func(w *httptestutil.WireConn) {
		if req := w.ReadHead(); req != nil {
			n, _ := io.Copy(io.Discard, req.Body)
			w.Write(httptestutil.Response(strconv.FormatInt(n, 10)))
		}
		w.WaitClosed()
	})
	nc, err := net.Dial("tcp", w.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	req := request(t, http.MethodPut, "http://example.test/", body(file(t, fileSize)))
	req.ContentLength = declared
	conn := &copiesOfFiles{TCPConn: nc.(*net.TCPConn)}
	return conn, exchangeOn(NewConn(conn), req)
}
