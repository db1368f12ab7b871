//go:build !unix

package media

import "os"

// Allocated is how many bytes a file takes on its medium; 0 where there is none.
func Allocated(path string) int64 {
	info, err := os.Lstat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}
