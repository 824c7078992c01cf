package exchange

import "errors"

// IsTimeout reports whether err, or an error that it wraps, is a timeout.
func IsTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
