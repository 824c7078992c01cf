//go:build !unix

package socket

import "errors"

// Supported reports whether this system has Send and Receive.
const Supported = false

// Send is not supported on this system.
func Send(uintptr, []byte) (int, error) { return -1, errors.ErrUnsupported }

// Receive is not supported on this system.
func Receive(uintptr, []byte) (int, error) { return 0, errors.ErrUnsupported }

// Acquire does nothing on this system.
func Acquire(uintptr) {}
