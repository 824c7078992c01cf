//go:build !linux

package main

import "os"

// scratchDir is where files of some bytes in all are kept.
func scratchDir(int64) string { return os.TempDir() }
