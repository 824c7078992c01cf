package exchange

import "time"

// Limits are the time limits of an exchange. Zero means no limit.
type Limits struct {
	HeaderTimeout    time.Duration // from the end of the request to the head of the response
	BodyReadTimeout  time.Duration // how long a Read of the response's body waits for data
	BodyWriteTimeout time.Duration // how long the server may accept no data of the request's body
}

// LimitError is the error of an exchange that a time limit has ended. Its text says which limit. It is a net.Error whose
// Timeout returns true.
type LimitError string

func (e LimitError) Error() string { return string(e) }
func (LimitError) Timeout() bool   { return true }
func (LimitError) Temporary() bool { return true }

// The errors of the limits for which net/http has no error text.
var (
	ErrBodyRead  error = LimitError("peerpool: timeout reading the response body")
	ErrBodyWrite error = LimitError("peerpool: timeout writing the request body")
)
