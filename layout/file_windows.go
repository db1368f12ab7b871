package layout

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/windows"
)

// removesOpen says whether a file can lose its name while it is open.
const removesOpen = false

// openPartial opens or makes a file for a run that is the only one to write it: it
// shares the file with nobody, which ends with the run.
func openPartial(path string) (*os.File, error) {
	if st, err := os.Lstat(path); err == nil && !st.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	name, err := windows.UTF16PtrFromString(long(path))
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	h, err := windows.CreateFile(name, windows.GENERIC_READ|windows.GENERIC_WRITE, 0, nil,
		windows.OPEN_ALWAYS, windows.FILE_ATTRIBUTE_NORMAL|windows.FILE_FLAG_OPEN_REPARSE_POINT, 0)
	switch {
	case errors.Is(err, windows.ERROR_SHARING_VIOLATION), errors.Is(err, windows.ERROR_LOCK_VIOLATION):
		return nil, fmt.Errorf("%w: %w", ErrInUse, err)
	case err != nil:
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(h), path), nil
}

// long is a path that may have more than 260 letters: package os does the same.
func long(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil || len(abs) < 248 || abs[:2] == `\\` {
		return path
	}
	return `\\?\` + abs
}

// commitFile closes first: a file that is open here cannot be renamed. What looks at
// each new file, for viruses or to index it, may have it open for a moment.
func commitFile(file *os.File, from, to string) error {
	if err := file.Close(); err != nil {
		return err
	}
	for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		err := os.Rename(from, to)
		busy := errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, windows.ERROR_ACCESS_DENIED)
		if !busy || time.Since(start) > 2*time.Second {
			return err
		}
	}
}

func discardFile(file *os.File, path string) error {
	err := file.Close()
	if errors.Is(err, fs.ErrClosed) {
		err = nil // a commit that failed
	}
	return errors.Join(err, os.Remove(path))
}

// freeSpace returns how many bytes the user can still write.
func freeSpace(file *os.File) (int64, error) {
	folder, err := windows.UTF16PtrFromString(filepath.Dir(file.Name()))
	if err != nil {
		return 0, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(folder, &free, nil, nil); err != nil {
		return 0, os.NewSyscallError("GetDiskFreeSpaceEx", err)
	}
	return int64(min(free, math.MaxInt64)), nil
}

func isNoSpace(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL) || errors.Is(err, windows.ERROR_DISK_QUOTA_EXCEEDED)
}

// syncFolder does nothing: the file system keeps names in its journal, and folders
// cannot be flushed.
func syncFolder(string) error { return nil }
