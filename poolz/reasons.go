package poolz

import (
	"cmp"
	"slices"

	"github.com/peerpool/peerpool"
)

// meanings explains the reasons to people who do not know the pool by heart.
var meanings = map[string]string{
	"cold":             "there was no connection to this identity",
	"busy":             "every connection was in use",
	"expired":          "the idle connection had reached a limit",
	"stale":            "the server had closed the idle connection",
	"fresh":            "a retry asked for a new connection",
	"unpooled":         "the peer's connections serve one request each",
	reasonNoConnection: "the attempt failed to get a connection",

	"idle_timeout":      "the connection was idle for longer than IdleConnTimeout",
	"unused":            "no request used it within 4 seconds after it was opened",
	"idle_limit":        "more connections were idle than MaxIdleConns allows",
	"key_idle_limit":    "more connections were idle than MaxIdleConnsPerHost allows",
	"max_reuse":         "the connection has served as many requests as MaxConnReuse allows",
	"max_lifetime":      "the connection was older than MaxConnLifetime allows",
	"peer_closed":       "the server closed the idle connection",
	"unexpected_data":   "the server sent bytes that answer no request",
	"make_room":         "an idle connection gave way to one for another identity",
	"limit_lowered":     "there were more connections than a new, lower limit allows",
	"no_capacity":       "the server allows no more requests on the connection",
	"close_idle":        "the program called CloseIdleConnections",
	"shutdown":          "the program called Shutdown",
	"unlisted":          "the resolver no longer lists the address",
	"ejected":           "the address is left out because requests to it fail",
	"drain":             "somebody drained the identity",
	"quarantine":        "the peer is in quarantine: each connection serves one request",
	"connection_close":  "the server or the program asked for the close",
	"body_unread":       "the program did not read the response to its end",
	"request_unsent":    "the response came before the request was sent to its end",
	"connection_auth":   "NTLM or Negotiate tied the connection to one user",
	"discarded":         "the program discarded the connection",
	"error":             "the request failed",
	"canceled":          "the program canceled the request",
	"tunnel":            "the connection was a tunnel (CONNECT)",
	"hijacked":          "an upgrade, such as a WebSocket, took the connection over",
	"timeout":           "a time limit passed",
	"ambiguous_framing": "it was unclear where the response ends",
	"surplus":           "a dial ended when no request waited for it any more",
	"goaway":            "HTTP/2: the server announced the end of the connection (GOAWAY)",
	"ping_timeout":      "HTTP/2: the server did not answer a ping",
	"protocol":          "HTTP/2: the server or the Transport found a protocol error",
	"stream_ids":        "HTTP/2: the connection has used up its stream numbers",
	"unspecified":       "no reason was given",

	"stale retry":           "a reused connection turned out to be dead",
	"refused retry":         "the server said that it did not process the request",
	"lost retry":            "the connection did not answer a ping",
	"http1 retry":           "the server asked for HTTP/1.1",
	"another_address retry": "a new connection to one of several addresses was lost",
	"unsent retry":          "nothing of the request had been written",
	"misdirected retry":     "the server answered 421 Misdirected Request",
	"over_budget retry":     "requests that were not sent again, because RetryBudget did not allow it",
	"saved retry":           "requests that got a response in the end",
	"failed retry":          "requests that got no response in the end",

	"truncated failure":               "the body of the response ended early, was malformed, or timed out",
	"timeout failure":                 "a time limit passed before there was a response",
	"name_resolution_error failure":   "the host could not be looked up",
	"connection_error failure":        "no connection could be made, or it failed before there was a response",
	"proxy_tunnel_error failure":      "the proxy did not connect to the server",
	"secure_connection_error failure": "the TLS handshake failed: for example, because of the certificate",
	"invalid_response failure":        "the response was malformed",
	"response_ended failure":          "the server ended the connection before it sent a response",
	"_OTHER failure":                  "any other error",

	"request limit":         "the deadline of the request's context has passed, or the client's Timeout",
	"dial limit":            "opening a connection took longer than DialTimeout",
	"connect limit":         "a connect took longer than ConnectTimeout or the Dialer's Timeout",
	"tls_handshake limit":   "a TLS handshake took longer than TLSHandshakeTimeout",
	"response_header limit": "the head of the response took longer than ResponseHeaderTimeout",
	"body_read limit":       "the response's body paused for longer than BodyReadTimeout",
	"body_write limit":      "the server took nothing of the request's body for longer than BodyWriteTimeout",

	"behind_response": "unexpected data right behind a response",
	"while_idle":      "unexpected data on an idle connection",
	"before_request":  "unexpected data on a new connection, before its first request",
}

// share is the count of one reason.
type share struct {
	Name, Meaning string
	Count         uint64
	Percent       float64 // of the highest count
}

// shareList holds the shares with the highest counts, and the rest, which the page shows after a click.
type shareList struct{ Top, Rest []share }

// sharesOnPage is the number of shares that the page shows without a click.
const sharesOnPage = 6

func listed(all []share) shareList {
	if len(all) <= sharesOnPage+1 { // a single share is not hidden behind a click
		return shareList{Top: all}
	}
	return shareList{all[:sharesOnPage], all[sharesOnPage:]}
}

// shares returns the counts that are not zero, the highest first.
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

// limitShares returns the requests that a time limit has ended, by limit.
func limitShares(timeouts map[peerpool.TimeLimit]uint64) []share {
	all := shares(timeouts)
	for i := range all {
		all[i].Meaning = meanings[all[i].Name+" limit"]
	}
	return all
}

// failureShares returns the requests that have failed, by type of error, or as truncated.
func failureShares(failures map[string]uint64) []share {
	all := shares(failures)
	for i := range all {
		all[i].Meaning = meanings[all[i].Name+" failure"]
	}
	return all
}

// retryShares returns the retries by reason and by result, or nil if there were none.
func retryShares(r peerpool.Retries) []share {
	var all []share
	causes := r.ByReason()
	for _, reason := range peerpool.RetryReasons() {
		if n := causes[reason]; n > 0 {
			all = append(all, share{Name: string(reason), Count: n})
		}
	}
	if r.OverBudget > 0 {
		all = append(all, share{Name: "over_budget", Count: r.OverBudget})
	}
	if len(all) == 0 {
		return nil
	}
	all = append(all, share{Name: "saved", Count: r.Saved}, share{Name: "failed", Count: r.Failed})
	var most uint64
	for _, one := range all {
		most = max(most, one.Count)
	}
	for i := range all {
		all[i].Meaning = meanings[all[i].Name+" retry"]
		all[i].Percent = 100 * float64(all[i].Count) / float64(most)
	}
	return all
}
