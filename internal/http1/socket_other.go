//go:build !linux

package http1

import "errors"

// askable is false on systems without a watcher. There, an exchange writes the request first and then waits for the answer.
const askable = false

// canSkip is false where the system cannot throw away what a connection receives.
func (c *Conn) canSkip() bool { return false }

func (c *Conn) skip(int64) (int64, error) { return 0, errors.ErrUnsupported }
