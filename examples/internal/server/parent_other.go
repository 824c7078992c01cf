//go:build !linux

package server

import "os/exec"

// endWithParent does nothing: only Linux can end a server whose parent was killed.
func endWithParent(*exec.Cmd) {}
