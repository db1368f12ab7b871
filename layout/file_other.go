//go:build !(linux || darwin || freebsd || windows)

package layout

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
)

// removesOpen says whether a file can lose its name while it is open.
const removesOpen = false

// openPartial opens an empty file for a run that is the only one to write it.
// Without locks, a file that another run has open is told by the fact that it
// cannot be removed, as on Windows.
func openPartial(path string) (*os.File, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", ErrInUse, err)
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%w: %w", ErrInUse, err)
	}
	return file, err
}

// InUse reports whether another run is writing the file at path: nothing tells here.
func InUse(path string) bool { return false }

// commitFile closes first: some systems do not rename an open file.
func commitFile(file *os.File, from, to string) error {
	return errors.Join(file.Close(), os.Rename(from, to))
}

func discardFile(file *os.File, path string) error {
	err := file.Close()
	if errors.Is(err, fs.ErrClosed) {
		err = nil // a commit that failed
	}
	return errors.Join(err, os.Remove(path))
}

// freeSpace does not know.
func freeSpace(*os.File) (int64, error) { return math.MaxInt64, nil }

// isInUse: files are open to all.
func isInUse(error) bool { return false }

func isNoSpace(error) bool { return false }

// SyncFolder does nothing here.
func SyncFolder(string) error { return nil }
