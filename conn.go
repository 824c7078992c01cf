package peerpool

import (
	"net"
	"net/http"

	"github.com/peerpool/peerpool/internal/http1"
	"github.com/peerpool/peerpool/pool"
)

// conn is one connection, as the pool and the walk see it, whatever it speaks.
type conn interface {
	pool.Conn
	// NetConn returns the connection below, with TLS if there is TLS.
	NetConn() net.Conn
	// exchange runs the attempt's request. It tells the attempt once, by ExchangeDone, when the exchange has ended:
	// with the body of the response, or before it returns an error.
	exchange(a *attempt) (*http.Response, error)
	// survives says whether the connection is as good as before after an exchange that ended like this.
	survives(end http1.End) bool
}
