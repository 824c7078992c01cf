//go:build !linux

package http1

import (
	"syscall"
	"time"
)

func sinceReceived(syscall.RawConn) time.Duration { return 0 }

func receivedBy(syscall.RawConn) (received int64, open bool) { return -1, false }

func queuedIn(syscall.RawConn) int64 { return 0 }
