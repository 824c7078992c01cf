package poolz

import (
	"testing"

	"github.com/peerpool/peerpool"
)

func TestThePageExplainsEveryReason(t *testing.T) {
	wanted := []string{"saved retry", "failed retry", "over_budget retry", reasonNoConnection, "behind_response", "while_idle", "before_request"}
	for _, reason := range peerpool.MissReasons() {
		wanted = append(wanted, string(reason))
	}
	for _, reason := range peerpool.CloseReasons() {
		wanted = append(wanted, string(reason))
	}
	for _, reason := range peerpool.RetryReasons() {
		wanted = append(wanted, string(reason)+" retry")
	}
	for _, limit := range peerpool.TimeLimits() {
		wanted = append(wanted, string(limit)+" limit")
	}
	wanted = append(wanted, "truncated failure")
	for _, kind := range peerpool.ErrorTypes() {
		wanted = append(wanted, string(kind)+" failure")
	}
	for _, reason := range wanted {
		if meanings[reason] == "" {
			t.Errorf("%q is not explained: add it to meanings (poolz/reasons.go)", reason)
		}
	}
}
