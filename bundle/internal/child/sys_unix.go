//go:build unix

package child

import (
	"os"
	"os/exec"
	"syscall"
)

// apart puts a child into a process group of its own, so that the keys of a terminal
// do not reach it.
func apart(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Env = []string{}
}

// killed tells whether a process was killed by a signal that it cannot catch.
func killed(s *os.ProcessState) bool {
	w, ok := s.Sys().(syscall.WaitStatus)
	return ok && w.Signaled() && w.Signal() == syscall.SIGKILL
}
