package disk

import (
	"os"

	"golang.org/x/sys/unix"
)

// DropCache has the next read of a file come from its device, as far as the system
// does that: what is not on the device yet stays.
func DropCache(f *os.File) {
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) // it is advice
}
