//go:build !linux

package watch

import (
	"errors"
	"syscall"
)

// supported reports whether this system can watch sockets.
const supported = false

const batch = 1

const gone, input = 0, 0

// poller stands for the part of a set that this system lacks.
type poller struct{}

func newPoller() (*poller, error) { return nil, errors.ErrUnsupported }

func (*poller) add(syscall.RawConn, uint32, uint64) error { return errors.ErrUnsupported }

func (*poller) remove(syscall.Conn) {}

func (*poller) wait(*[batch]uint64) (int, error) { return 0, errors.ErrUnsupported }

func (*poller) close() {}
