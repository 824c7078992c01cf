package logpool_test

import (
	"log/slog"
	"os"

	"github.com/peerpool/peerpool"
	"github.com/peerpool/peerpool/logpool"
)

// The log has a warning if a server has sent bytes that no request asked for.
func ExampleNew() {
	withoutTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	observer := logpool.New(logger).Observer()
	observer.ConnClosed(peerpool.ConnClosed{Host: "example.com", Conn: 7, Reason: "unexpected_data", Uses: 3})
	// Output:
	// level=WARN msg="peerpool: server out of step, connection closed" host=example.com identity=:// conn=7 reason=unexpected_data uses=3 age=0s in_use=false times=1
}
