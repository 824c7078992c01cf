package exchange

import "errors"

// IsTimeout says whether err, or what it wraps, is that something ran out of time.
func IsTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
