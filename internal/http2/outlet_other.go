//go:build !unix

package http2

// canTry says whether a goroutine can write to a socket without waiting.
const canTry = false

func (o *outlet) try(uintptr) bool { return true }
