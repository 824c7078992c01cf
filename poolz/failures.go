package poolz

import (
	"context"
	"maps"
	"sync"

	"github.com/peerpool/peerpool"
)

// failures counts the requests that have failed while the page observes: by type of error, or as truncated. It is safe for
// concurrent use.
type failures struct {
	mu     sync.Mutex // guards counts
	counts map[string]uint64
}

// ended counts a request if it has failed.
func (f *failures) ended(_ context.Context, r peerpool.RequestDone) {
	var kind string
	switch r.Outcome() {
	case peerpool.OutcomeError:
		kind = string(r.ErrorType)
	case peerpool.OutcomeTruncated:
		kind = string(peerpool.OutcomeTruncated)
	default:
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.counts == nil {
		f.counts = make(map[string]uint64)
	}
	f.counts[kind]++
}

// get returns the counts. The caller owns the map, which is never nil.
func (f *failures) get() map[string]uint64 {
	all := make(map[string]uint64)
	f.mu.Lock()
	defer f.mu.Unlock()
	maps.Copy(all, f.counts)
	return all
}
