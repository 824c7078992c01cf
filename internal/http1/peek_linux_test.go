package http1

import (
	"testing"

	"golang.org/x/sys/unix"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// The kernel reports a reset only once.
func TestTheFirstProbeAfterAResetFindsIt(t *testing.T) {
	w := httptestutil.NewWire(t, httptestutil.ReplyThenReset(hello))
	c := dial(t, w)
	carry(t, c)
	c.raw.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd)}}
		for fds[0].Revents&unix.POLLERR == 0 {
			if _, err := unix.Poll(fds, int(httptestutil.Bound.Milliseconds())); err != nil && err != unix.EINTR {
				t.Fatal(err)
			}
		}
	})
	wantCondition(t, c, PeerClosed)
}
