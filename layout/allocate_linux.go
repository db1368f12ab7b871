package layout

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// allocate gives an empty file its size, with blocks behind it where the file
// system can reserve them without writing.
func allocate(file *os.File, size int64) error {
	for {
		err := unix.Fallocate(int(file.Fd()), 0, 0, size)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
			return file.Truncate(size)
		default:
			return os.NewSyscallError("fallocate", err)
		}
	}
}
