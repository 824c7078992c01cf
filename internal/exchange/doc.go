// Package exchange holds what HTTP/1.1 and HTTP/2 have in common: how a request uses the connection that carries it, and how
// the exchange of the request and its response ends. The packages of the two protocols import it, and do not import each
// other.
//
//	outcome.go   Outcome: how an exchange ended; Owner: the interface of those that learn it
//	end.go       End: how an exchange left its connection
//	body.go      Body: the body of a request, which is not read from for longer than its owner allows
//	source.go    the reader below a request's body
//	discard.go   Discard: how a caller reaches the connection below a response's body
//	client.go    AwaitClient: what an http.Client needs to mention its Timeout in an error
//	auth.go      BindsConnection, ChallengeBinds: NTLM and Negotiate
//	timeout.go   IsTimeout
package exchange
