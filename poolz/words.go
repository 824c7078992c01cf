package poolz

// words explains the words of the page.
var words = map[string]string{
	"Idle":            "connections that wait in the pool for a request",
	"Active":          "connections that serve a request now",
	"Dialing":         "connections that are being opened",
	"Waiting":         "requests that wait for a dial or, if MaxConnsPerHost is reached, for the connection of another request",
	"Hit ratio":       "the share of attempts that found an idle connection",
	"Hits":            "attempts that found an idle connection; an attempt is one try at a request",
	"Misses":          "attempts that found no idle connection, by reason",
	"Opened":          "connections that were opened since the program began",
	"Closes":          "connections that were closed, by reason",
	"Closed":          "connections that were closed",
	"Hijacked":        "connections that an upgrade, such as a WebSocket, has handed over to the program",
	"Dials":           "attempts to open a connection",
	"Dials failed":    "attempts to open a connection that failed",
	"Look-ups failed": "look-ups of a host that failed",
	"Connects failed": "connects to one of several addresses that failed; the dial may have succeeded with another address",
	"Failed":          "attempts to open a connection that failed",
	"Replacements":    "dials that began to replace a connection before it reaches a limit, so that no request waits for that",
	"Retries":         "requests that were sent again, by reason",
	"Retries saved":   "requests that were sent again and got a response",
	"Retries failed":  "requests that were sent again and got no response",
	"Failed requests": "requests that have failed, by type of error, and those whose response was truncated",
	"Time-outs":       "requests that a time limit has ended, by limit",
	"Unexpected data": "connections that were closed because the peer sent bytes that answer no request",
	"In quarantine":   "peers that have sent unexpected data; each connection to them serves one request",
	"Over budget":     "requests that failed and were not sent again, because RetryBudget did not allow it",
	"Learned limits":  "limits of servers that the Transport has learned from their closes; it follows them",
	"Oldest":          "the age of the oldest connection",
	"Most uses":       "the number of requests on the connection that has served the most",
	"Identity":        "what connections must have in common to serve the same requests: address, TLS settings, proxy, group",
	"State":           "idle, active, or retired: a retired connection serves no new request",
	"Age":             "the time since the connection was opened",
	"Idle for":        "the time since the connection served a request",
	"Uses":            "the requests that the connection has served",
	"Requests":        "the requests on the connection now, and how many it can serve at a time",
	"Hosts":           "hosts with several addresses; each address has identities of its own",
	"Address":         "an address that the resolver has listed for the host",
	"Address state":   "whether the address gets requests; each state explains itself",
	"Share":           "the address's part of the attempts to reach the host",
	"Attempts":        "tries at requests through this address",
	"Latest misses":   "the last attempts that found no idle connection",
	"Latest closes":   "the last connections that were closed",
}

// glossary returns the words that the page explains at its end.
func glossary() []fact {
	var all []fact
	for _, word := range []string{
		"Identity", "Idle", "Active", "Dialing", "Waiting", "Hit ratio", "Hits", "Misses", "Opened", "Closed", "Dials",
		"Retries", "Unexpected data", "In quarantine", "Hijacked",
	} {
		all = append(all, fact{word, words[word]})
	}
	return all
}
