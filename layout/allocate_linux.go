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

// nextData returns the first range of data from at on. Where the file system
// cannot tell, everything is data.
func nextData(file *os.File, at, end int64) (from, to int64) {
	from, err := unix.Seek(int(file.Fd()), at, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) {
		return end, end
	}
	if err != nil {
		return at, end
	}
	to, err = unix.Seek(int(file.Fd()), from, unix.SEEK_HOLE)
	if err != nil || to > end {
		to = end
	}
	return from, to
}
