package fault_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

func TestADeadlineThatPassesClosesWithTimeoutAndACancellationWithCanceled(t *testing.T) {
	for _, c := range []struct {
		reason peerpool.CloseReason
		end    func(ctx context.Context) (context.Context, context.CancelFunc)
	}{
		{"timeout", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeoutCause(ctx, time.Second, errors.New("a cause of the caller's"))
		}},
		{"canceled", func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		}},
	} {
		for name, script := range map[string]httptestutil.Script{
			"before the answer": func(c *httptestutil.WireConn) { c.ReadRequest(); c.WaitClosed() },
			"within the body": func(c *httptestutil.WireConn) {
				c.ReadRequest()
				c.Write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
				c.WaitClosed()
			},
		} {
			t.Run(string(c.reason)+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ln := httptestutil.NewListener(0)
					wire := httptestutil.NewWireWith(t, httptestutil.WireOptions{Listener: ln}, script)
					s := testkit.Observe(t, &peerpool.Transport{DialContext: ln.Dial})
					ctx, cancel := c.end(t.Context())
					defer cancel()
					req := testkit.NewRequest(t, http.MethodGet, wire.URL(), nil).WithContext(ctx)
					if _, err := s.Try(req); err == nil {
						t.Error("the request was served")
					}
					s.Closes(c.reason, 1)
				})
			})
		}
	}
}
