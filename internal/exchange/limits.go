package exchange

import "time"

// Limits are time limits of an exchange. Zero means none.
type Limits struct {
	HeaderTimeout    time.Duration // from the end of the request to the head of the response
	BodyReadTimeout  time.Duration // how long a Read of the response's body waits for more of it
	BodyWriteTimeout time.Duration // how long the server may take nothing of the request's body
}

// LimitError says which limit has ended an exchange. It is a net.Error whose Timeout is true.
type LimitError string

func (e LimitError) Error() string { return string(e) }
func (LimitError) Timeout() bool   { return true }
func (LimitError) Temporary() bool { return true }

// The errors of the limits that net/http has no words for.
var (
	ErrBodyRead  error = LimitError("peerpool: timeout reading the response body")
	ErrBodyWrite error = LimitError("peerpool: timeout writing the request body")
)
