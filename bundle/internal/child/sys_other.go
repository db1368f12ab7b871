//go:build !linux

package child

import "os"

// limitMemory does nothing: RLIMIT_DATA and RLIMIT_AS do not hold for what Go
// allocates, or do not exist.
func limitMemory(int64) error { return nil }

func executable() (string, error) { return os.Executable() }
