package layout

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// allocate gives a file its size, with blocks behind it. It fails with
// errInOrder, and changes nothing, where the file system cannot reserve blocks
// without writing them. What has all its blocks is left alone: tmpfs calls everything
// data that is reserved a second time, and nothing would be gone on with.
func allocate(file *os.File, size int64) error {
	var have unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &have); err == nil && have.Size == size && have.Blocks*512 >= size {
		return nil
	}
	for {
		err := unix.Fallocate(int(file.Fd()), 0, 0, size)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
			return errInOrder
		default:
			return os.NewSyscallError("fallocate", err)
		}
	}
}

// largest returns an error where the file system has no files of size bytes. No
// more than the position changes.
func largest(file *os.File, size int64) error {
	_, err := unix.Seek(int(file.Fd()), size, unix.SEEK_SET)
	if errors.Is(err, unix.EINVAL) {
		return unix.EFBIG
	}
	return err
}

// forgetRead drops what is cached of a file and was not written: where blocks are
// reserved, the system calls data what somebody has but read.
func forgetRead(file *os.File) {
	_ = unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_DONTNEED) // it is advice
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
