//go:build unix

package media

import (
	"os"
	"syscall"
)

// Allocated is how many bytes a file takes on its medium; 0 where there is none.
func Allocated(path string) int64 {
	info, err := os.Lstat(path)
	if err != nil {
		return 0
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512
	}
	return info.Size()
}
