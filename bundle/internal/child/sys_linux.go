package child

import (
	"fmt"
	"syscall"
)

// limitMemory has the kernel refuse memory beyond a number of bytes: since Linux 4.7,
// RLIMIT_DATA counts all private memory that can be written to. What Go only reserves
// does not count.
func limitMemory(bytes int64) error {
	l := syscall.Rlimit{Cur: uint64(bytes), Max: uint64(bytes)}
	if err := syscall.Setrlimit(syscall.RLIMIT_DATA, &l); err != nil {
		return fmt.Errorf("limit the memory: %w", err)
	}
	return nil
}

// executable is the very program that runs, also where its file is another by now.
func executable() (string, error) { return "/proc/self/exe", nil }
