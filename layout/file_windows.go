package layout

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unsafe"

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
	h, err := windows.CreateFile(name, windows.GENERIC_READ|windows.GENERIC_WRITE|windows.DELETE, 0, nil,
		windows.OPEN_ALWAYS, windows.FILE_ATTRIBUTE_NORMAL|windows.FILE_FLAG_OPEN_REPARSE_POINT, 0)
	switch {
	case isInUse(err):
		return nil, fmt.Errorf("%w: %w", ErrInUse, err)
	case err != nil:
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(h), path), nil
}

// InUse reports whether another run is writing the file at path, which is one that
// [Create] works on: a bundle under its partial name. It changes nothing.
func InUse(path string) bool {
	file, err := os.Open(path)
	if err == nil {
		file.Close()
	}
	return isInUse(err)
}

// long is a path that may have more than 260 letters: package os does the same.
func long(path string) string {
	abs, err := filepath.Abs(path)
	switch {
	case err != nil || len(abs) < 248 || strings.HasPrefix(abs, `\\?\`) || strings.HasPrefix(abs, `\\.\`):
		return path
	case strings.HasPrefix(abs, `\\`):
		return `\\?\UNC` + abs[1:]
	}
	return `\\?\` + abs
}

// commitFile renames by the handle that nobody shares: between a close and a rename
// by name, another run could take the file. What looks at each new file, for viruses
// or to index it, may have the one that stands at the name open for a moment.
func commitFile(file *os.File, from, to string) error {
	for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		err := renameOpen(windows.Handle(file.Fd()), to)
		if err == nil {
			// The content is durable; Close can only fail to give the number back.
			_ = file.Close()
			return nil
		}
		busy := isInUse(err) || errors.Is(err, windows.ERROR_ACCESS_DENIED)
		if !busy || time.Since(start) > 2*time.Second {
			return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
		}
	}
}

// renameInfo is FILE_RENAME_INFO with the longest path there is and the zero behind it.
type renameInfo struct {
	replace uint32
	root    windows.Handle
	length  uint32 // of name, in bytes, without the zero
	name    [1<<15 + 1]uint16
}

// renameOpen gives an open file the name to, in place of what has it.
func renameOpen(h windows.Handle, to string) error {
	abs, err := filepath.Abs(to)
	if err != nil {
		return err
	}
	name, err := windows.UTF16FromString(long(abs))
	if err != nil {
		return err
	}
	info := &renameInfo{replace: 1, length: uint32(len(name)-1) * 2}
	if len(name) > len(info.name) {
		return windows.ERROR_FILENAME_EXCED_RANGE
	}
	size := int(unsafe.Offsetof(info.name)) + 2*copy(info.name[:], name)
	return windows.SetFileInformationByHandle(h, windows.FileRenameInfo, (*byte)(unsafe.Pointer(info)), uint32(size))
}

// discardFile removes by the handle, for the same reason: the file is gone when it is
// closed.
func discardFile(file *os.File, path string) error {
	remove := byte(1) // FILE_DISPOSITION_INFO
	err := windows.SetFileInformationByHandle(windows.Handle(file.Fd()), windows.FileDispositionInfo, &remove, 1)
	if err != nil {
		err = &fs.PathError{Op: "remove", Path: path, Err: err}
	}
	return errors.Join(err, file.Close())
}

// freeSpace returns how many bytes the user can still write.
func freeSpace(file *os.File) (int64, error) {
	folder, err := windows.UTF16PtrFromString(long(filepath.Dir(file.Name())))
	if err != nil {
		return 0, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(folder, &free, nil, nil); err != nil {
		return 0, os.NewSyscallError("GetDiskFreeSpaceEx", err)
	}
	return int64(min(free, math.MaxInt64)), nil
}

// isInUse reports whether somebody else has a file open and does not share it.
func isInUse(err error) bool {
	return errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, windows.ERROR_LOCK_VIOLATION)
}

func isNoSpace(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL) || errors.Is(err, windows.ERROR_DISK_QUOTA_EXCEEDED)
}

// SyncFolder does nothing: the file system keeps names in its journal, and folders
// cannot be flushed.
func SyncFolder(string) error { return nil }
