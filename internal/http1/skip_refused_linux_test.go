package http1

import (
	"io"
	"strings"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

func TestABodyIsReadWhereTheSystemRefusesToThrowItAway(t *testing.T) {
	cannotSkip.Store(true)
	defer cannotSkip.Store(false)
	const size = 300_000
	w := httptestutil.NewWire(t, httptestutil.Replies(httptestutil.Response(strings.Repeat("x", size))))
	resp := run(t, exchangeOn(dial(t, w), get(t)))
	if n, err := io.Copy(io.Discard, resp.Body); n != size || err != nil {
		t.Errorf("%d bytes and error %v, want %d", n, err, size)
	}
}
