//go:build !linux

package http1

import (
	"syscall"
	"time"
)

func sinceReceived(syscall.RawConn) time.Duration { return 0 }
