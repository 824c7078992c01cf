//go:build unix

package main

import "syscall"

// openFiles returns how many files and sockets a process may have open. The runtime has raised that to what the
// system allows.
func openFiles() uint64 {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0
	}
	return uint64(l.Cur)
}
