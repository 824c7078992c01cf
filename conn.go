package peerpool

import (
	"net"
	"net/http"

	"github.com/peerpool/peerpool/internal/exchange"
	"github.com/peerpool/peerpool/pool"
)

// conn is one connection, as the pool and the walk see it, whatever it speaks.
type conn interface {
	pool.Conn
	// NetConn returns the connection below, with TLS if there is TLS.
	NetConn() net.Conn
	// exchange runs the attempt's request, and returns what came of it. It tells the attempt once, by ExchangeDone, when
	// the exchange has ended: with the body of the response, or before it returns an error.
	exchange(a *attempt) (*http.Response, exchange.Outcome, error)
	// noticesFailure says whether the other connections to the same peer, idle ones too, notice by themselves when they
	// have failed like this one. If so, a retry may use one of them.
	noticesFailure(failure error) bool
	// endLease ends the attempt's lease after an exchange that has ended like this. It returns why the connection
	// serves no further one, or "".
	endLease(a *attempt, end exchange.End, o exchange.Outcome) CloseReason
	// about returns what the Observer is told.
	about() *facts
}
