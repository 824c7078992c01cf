package exchange

import (
	"context"
	"net/http"
	"time"
)

// clientWait is how long a request that is out of time waits for its client to notice.
const clientWait = 5 * time.Millisecond

// AwaitClient lets an [http.Client] notice that its Timeout has passed. The client sets the same time in two ways, in
// the context and in Request.Cancel, and puts its name to an error only if it knows of the second by then.
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
