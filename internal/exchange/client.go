package exchange

import (
	"context"
	"net/http"
	"time"
)

// clientWait is how long a request whose time is over waits for its client to notice.
const clientWait = 5 * time.Millisecond

// AwaitClient gives an [http.Client] the time to notice that its Timeout has passed. The client sets the same deadline in two
// ways, in the context and in Request.Cancel. It mentions its Timeout in the error only if Request.Cancel is closed before
// the request returns.
func AwaitClient(req *http.Request, err error) {
	//lint:ignore SA1019 http.Client sets it
	cancel := req.Cancel
	if cancel == nil || err != context.DeadlineExceeded {
		return
	}
	giveUp := time.NewTimer(clientWait)
	defer giveUp.Stop()
	select {
	case <-cancel:
	case <-giveUp.C:
	}
}
