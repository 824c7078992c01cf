package server

import (
	"os/exec"
	"syscall"
)

// endWithParent has the system end a server whose parent was killed, or has panicked.
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
}
