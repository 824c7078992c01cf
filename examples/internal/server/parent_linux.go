package server

import (
	"os/exec"
	"syscall"
)

// endWithParent makes the system end the server when its parent is killed or panics.
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
}
