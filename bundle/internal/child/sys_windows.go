package child

import (
	"os"
	"os/exec"
	"syscall"
)

// apart puts a child into a process group of its own, so that the keys of a console
// do not reach it. Without SystemRoot, Windows starts no program.
func apart(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP, HideWindow: true}
	cmd.Env = []string{"SystemRoot=" + os.Getenv("SystemRoot")}
}

// killed: Windows does not end processes for want of memory.
func killed(*os.ProcessState) bool { return false }
