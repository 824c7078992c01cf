//go:build !(linux || darwin || dragonfly || freebsd || netbsd || openbsd || windows)

package http1

import (
	"errors"
	"syscall"
)

// canPeek is false on systems for which we have no peek. All connections are veiled there.
const canPeek = false

func peek(syscall.RawConn) (b [peeked]byte, n int, err error) { return b, 0, errors.ErrUnsupported }

func holds(syscall.RawConn) bool { return false }
