package poolz

import (
	"cmp"
	"slices"

	"github.com/peerpool/peerpool"
)

// meanings explains the reasons of misses and closes to those who do not know the pool by heart. A reason that is
// not here is shown without.
var meanings = map[string]string{
	"cold":             "there was no connection",
	"busy":             "every connection was in use",
	"expired":          "an idle one had reached its limit",
	"stale":            "an idle one turned out to be gone",
	"fresh":            "a retry wanted a new one",
	"unpooled":         "opted out of pooling, or meant for one request",
	reasonNoConnection: "none could be had",

	"idle_timeout":      "idle for too long",
	"idle_limit":        "more idle than MaxIdleConns",
	"key_idle_limit":    "more idle than MaxIdleConnsPerHost",
	"max_reuse":         "reused as often as allowed",
	"max_lifetime":      "as old as allowed",
	"peer_closed":       "the peer closed it",
	"unexpected_data":   "bytes that nobody had asked for",
	"make_room":         "idle, and in the way of another",
	"no_capacity":       "it takes no more requests",
	"close_idle":        "CloseIdleConnections",
	"shutdown":          "Shutdown",
	"unlisted":          "its address is listed no more",
	"drain":             "drained by hand",
	"quarantine":        "the peer has sent unexpected data: one request each",
	"connection_close":  "one side said it was the last request",
	"body_unread":       "the response was not read to its end",
	"request_unsent":    "the response came before the request's end",
	"connection_auth":   "bound to somebody by NTLM or Negotiate",
	"discarded":         "discarded by the program",
	"error":             "the exchange failed",
	"canceled":          "the request was given up",
	"tunnel":            "it was a tunnel",
	"timeout":           "a time limit or a deadline passed",
	"ambiguous_framing": "two readers could disagree where the response ends",
	"surplus":           "dialed for nobody who still waits",
	"goaway":            "HTTP/2: the server closes it",
	"ping_timeout":      "HTTP/2: the server answered no ping",
	"protocol":          "HTTP/2: the server complained of the protocol",
	"stream_ids":        "HTTP/2: few stream numbers are left",
	"unspecified":       "no reason was given",

	"stale retry":       "a reused connection was gone",
	"refused retry":     "the server said that it did not process it",
	"lost retry":        "the connection did not answer a ping",
	"http1 retry":       "the server wanted HTTP/1.1",
	"unsent retry":      "nothing had been written",
	"misdirected retry": "answered 421",
	"saved retry":       "got their response in the end",
	"failed retry":      "did not",
}

// share is one reason's part of a total.
type share struct {
	Name, Meaning string
	Count         uint64
	Percent       float64 // of the highest
}

// shares lists counts, the highest first.
func shares[R ~string](counts map[R]uint64) []share {
	var all []share
	for reason, n := range counts {
		if n > 0 {
			all = append(all, share{Name: string(reason), Meaning: meanings[string(reason)], Count: n})
		}
	}
	slices.SortFunc(all, func(a, b share) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name))
	})
	for i := range all {
		all[i].Percent = 100 * float64(all[i].Count) / float64(all[0].Count)
	}
	return all
}

// retryShares lists the retries by cause and by outcome; none if there were none.
func retryShares(r peerpool.Retries) []share {
	var all []share
	causes := r.ByReason()
	for _, reason := range peerpool.RetryReasons() {
		all = append(all, share{Name: string(reason), Count: causes[reason]})
	}
	all = append(all, share{Name: "saved", Count: r.Saved}, share{Name: "failed", Count: r.Failed})
	var most uint64
	for _, one := range all {
		most = max(most, one.Count)
	}
	if most == 0 {
		return nil
	}
	for i := range all {
		all[i].Meaning = meanings[all[i].Name+" retry"]
		all[i].Percent = 100 * float64(all[i].Count) / float64(most)
	}
	return all
}
