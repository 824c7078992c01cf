//go:build unix

package testkit

import (
	"os/exec"
	"syscall"
)

// ownGroup makes a program that has not started yet the leader of a process group of its own, which its children join.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// killGroup kills a program that ownGroup prepared, and its children. It must be called before the program has been waited for.
func killGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
