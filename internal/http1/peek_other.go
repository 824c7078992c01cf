//go:build !(linux || darwin || dragonfly || freebsd || netbsd || openbsd)

package http1

import (
	"errors"
	"syscall"
)

// canPeek is false where no peek is known: connections are treated as opaque there.
const canPeek = false

type peeker struct{ buf [12]byte }

func (*peeker) init() {}

func (*peeker) run(syscall.RawConn) (int, error) { return 0, errors.ErrUnsupported }
