//go:build !unix

package main

import "math"

// openFiles returns how many files and sockets a process may have open: no limit is known.
func openFiles() uint64 { return math.MaxUint64 }
