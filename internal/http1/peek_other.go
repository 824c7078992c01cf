//go:build !(linux || darwin || dragonfly || freebsd || netbsd || openbsd || windows)

package http1

import (
	"errors"
	"syscall"
)

// canPeek is false where no peek is known: connections are veiled there.
const canPeek = false

func peek(syscall.RawConn) (b [peeked]byte, n int, err error) { return b, 0, errors.ErrUnsupported }

func holds(syscall.RawConn) bool { return false }
