package peerpool

import (
	"net"
	"net/http"

	"github.com/peerpool/peerpool/internal/exchange"
	"github.com/peerpool/peerpool/pool"
)

// conn is one connection, of any protocol, as the pool and the walk see it.
type conn interface {
	pool.Conn
	// NetConn returns the underlying connection: a TLS connection if there is TLS.
	NetConn() net.Conn
	// exchange sends the attempt's request and returns the result. It calls the attempt's ExchangeDone once, when the
	// exchange has ended: at the end of the response's body, or before exchange returns an error.
	exchange(a *attempt) (*http.Response, exchange.Outcome, error)
	// noticesFailure reports whether the other connections to the same peer, including idle ones, notice by themselves if
	// they have failed in the same way. If so, a retry may use one of them.
	noticesFailure(failure error) bool
	// endLease ends the attempt's lease after an exchange that has ended with end and o. It returns why the connection takes
	// no further exchange, or "" if it does.
	endLease(a *attempt, end exchange.End, o exchange.Outcome) CloseReason
	// about returns what the Observer is told about the connection.
	about() *facts
}
