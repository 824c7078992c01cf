//go:build !unix

package http2

// canTry says whether writing can be tried without waiting.
const canTry = false

func (o *outlet) try(uintptr) bool { return true }
