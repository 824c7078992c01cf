// Package exchange holds what HTTP/1.1 and HTTP/2 have in common: what a request is to the connection that carries
// it, and what comes of it. The packages of the two protocols import it, and not each other.
//
//	outcome.go   Outcome: what an exchange came to; Owner, who is told
//	end.go       End: how an exchange left its connection
//	body.go      Body: the body of a request, which is read from no longer than its owner allows
//	source.go    what a request's body reads from
//	discard.go   Discard: how a caller reaches the connection below a response's body
//	client.go    AwaitClient: what an http.Client needs to put its name to a timeout
//	auth.go      BindsConnection, ChallengeBinds: NTLM and Negotiate
//	timeout.go   IsTimeout
package exchange
