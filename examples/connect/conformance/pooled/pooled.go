// Package pooled goes into the conformance suite's reference client, of which there may be many processes: it is the
// Transport that this client uses, and says at the end of each process what its connections were.
package pooled

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/peerpool/peerpool"
)

// ReportEnv names the environment variable with the path of the file that [Report] appends to.
const ReportEnv = "PEERPOOL_CONFORMANCE_REPORT"

// Transport is what stands in the place of net/http's.
type Transport = peerpool.Transport

// Counts are what all Transports with the [Observer] have done in this process.
type Counts struct {
	Requests, Connections, Attempts, Reused, Retries int64
}

// Add adds those of another process.
func (c *Counts) Add(other Counts) {
	c.Requests += other.Requests
	c.Connections += other.Connections
	c.Attempts += other.Attempts
	c.Reused += other.Reused
	c.Retries += other.Retries
}

var requests, connections, attempts, reused, retries atomic.Int64

// Observer counts what Report reports.
var Observer = &peerpool.Observer{
	RequestStart: func(context.Context, peerpool.RequestStart) { requests.Add(1) },
	DialDone: func(_ context.Context, d peerpool.DialDone) {
		if d.Err == nil {
			connections.Add(1)
		}
	},
	AcquireDone: func(_ context.Context, a peerpool.AcquireDone) {
		if a.Err != nil {
			return
		}
		attempts.Add(1)
		if a.Reused {
			reused.Add(1)
		}
	},
	RequestRetry: func(context.Context, peerpool.RequestRetry) { retries.Add(1) },
}

// Report appends the Counts of this process to the file that the environment names, as a line of JSON.
func Report() {
	if err := report(os.Getenv(ReportEnv)); err != nil {
		fmt.Fprintln(os.Stderr, "the report of the connections:", err)
	}
}

func report(path string) error {
	line, err := json.Marshal(Counts{
		Requests: requests.Load(), Connections: connections.Load(),
		Attempts: attempts.Load(), Reused: reused.Load(), Retries: retries.Load(),
	})
	if err != nil {
		return err
	}
	// One write of a line to a file opened so is not mixed with those of other processes.
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}
