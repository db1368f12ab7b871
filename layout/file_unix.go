//go:build linux || darwin || freebsd

package layout

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// removesOpen says whether a file can lose its name while it is open.
const removesOpen = true

// openPartial opens or makes a file for a run that is the only one to write it.
// The lock dies with the run, so that a file left behind blocks nobody.
func openPartial(path string) (*os.File, error) {
	for {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o666)
		if err != nil {
			return nil, err
		}
		current, err := lockPartial(file, path)
		if err != nil {
			_ = file.Close()
			return nil, err
		}
		if current {
			return file, nil
		}
		_ = file.Close() // nothing was written
	}
}

// lockPartial takes the lock, and reports whether the file is still what
// stands at path: the run that held the lock before may have renamed or
// removed it since it was opened.
func lockPartial(file *os.File, path string) (current bool, err error) {
	opened, err := file.Stat()
	if err != nil {
		return false, err
	}
	if !opened.Mode().IsRegular() {
		return false, errors.New("not a regular file")
	}
	err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, ErrInUse
	}
	if err != nil {
		return false, fmt.Errorf("lock: %w", err)
	}
	there, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(opened, there), err
}

// InUse reports whether another run is writing the file at path, which is one that
// [Create] works on: a bundle under its partial name. It changes nothing.
func InUse(path string) bool {
	file, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer file.Close() // and with it what was locked
	_, err = lockPartial(file, path)
	return errors.Is(err, ErrInUse)
}

// commitFile renames while the lock is held: a run that waits for the name
// cannot touch the file in between.
func commitFile(file *os.File, from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	// The content is durable; Close can only fail to give the number back.
	_ = file.Close()
	return nil
}

// discardFile removes while the lock is held, for the same reason.
func discardFile(file *os.File, path string) error {
	return errors.Join(os.Remove(path), file.Close())
}

// freeSpace returns how many bytes an unprivileged user can still write.
func freeSpace(file *os.File) (int64, error) {
	var stat unix.Statfs_t
	if err := unix.Fstatfs(int(file.Fd()), &stat); err != nil {
		return 0, os.NewSyscallError("fstatfs", err)
	}
	blocks, size := uint64(stat.Bavail), uint64(stat.Bsize)
	if size > 0 && blocks > math.MaxInt64/size {
		return math.MaxInt64, nil
	}
	return int64(blocks * size), nil
}

// isInUse: files are open to all.
func isInUse(error) bool { return false }

func isNoSpace(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}

// SyncFolder makes the names of files in a folder durable, where that means anything.
func SyncFolder(path string) error {
	folder, err := os.Open(path)
	if errors.Is(err, fs.ErrPermission) {
		unix.Sync() // it may be written to, and not be listed
		return nil
	}
	if err != nil {
		return err
	}
	defer folder.Close()
	err = folder.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		return nil // this file system has no such thing
	}
	return err
}
