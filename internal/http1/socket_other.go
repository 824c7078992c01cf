//go:build !linux

package http1

import "errors"

// askable is false where no watcher tells of a close. There, a request is written first, and then its answer waited for.
const askable = false

func sendNow(int, []byte) (int, error)    { return -1, errors.ErrUnsupported }
func receiveNow(int, []byte) (int, error) { return 0, errors.ErrUnsupported }

// canSkip is false where the system cannot throw away what a connection receives.
func (c *Conn) canSkip() bool { return false }

func (c *Conn) skip(int64) (int64, error) { return 0, errors.ErrUnsupported }
