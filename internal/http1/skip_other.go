//go:build !linux

package http1

import "errors"

// canSkip is false where the system throws nothing away by itself.
func (c *Conn) canSkip() bool { return false }

func (c *Conn) skip(int64) (int64, error) { return 0, errors.ErrUnsupported }
