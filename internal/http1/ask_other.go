//go:build !linux

package http1

import "errors"

// askable is false where no watcher tells of a close: requests are written first, and answers waited for then.
const askable = false

func sendNow(int, []byte) (int, error)    { return -1, errors.ErrUnsupported }
func receiveNow(int, []byte) (int, error) { return 0, errors.ErrUnsupported }
