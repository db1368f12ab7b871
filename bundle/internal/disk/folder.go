package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"bundle/bundle/internal/fault"
	"bundle/layout"
)

// CheckBelow requires that names are folders below dir, if they are there.
func CheckBelow(dir string, names []string) error {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if st, serr := os.Stat(dir); serr == nil && !st.IsDir() {
		err = errors.Join(err, &fs.PathError{Op: "open", Path: dir, Err: syscall.ENOTDIR})
	}
	if err != nil {
		return wrongFolder(err)
	}
	defer root.Close()
	for _, name := range names {
		st, err := root.Stat(name)
		if errors.Is(err, fs.ErrNotExist) || err == nil && st.IsDir() {
			continue
		}
		return &fault.UsageError{
			What:   fmt.Sprintf("output folder %s: %s in it is no folder, or leads out of it", dir, name),
			Advice: "remove it, or choose another folder",
		}
	}
	return nil
}

// wrongFolder makes a folder that is none, or nobody's to write into, a wrong request.
func wrongFolder(err error) error {
	var at *fs.PathError
	switch {
	case !errors.As(err, &at):
	case errors.Is(err, fs.ErrPermission):
		return fault.Input("output folder "+filepath.Dir(at.Path), errors.New("no permission to write into it"), "choose another with --output-dir")
	case errors.Is(err, syscall.ENOTDIR):
		return fault.Input("output folder "+at.Path, errors.New("there is a file, and no folder"), "choose another with --output-dir")
	}
	return fmt.Errorf("output folder: %w", err)
}

// RoomForReports is what reports and values files take at most, but for charts
// of a size that nobody has seen.
const RoomForReports = 256 << 10

// CheckRoom finds out whether files can be written below dir, before anything is
// pushed: it makes one, has room reserved for it, and takes it away again. No
// block is written. dir need not be there.
func CheckRoom(dir string) error {
	for at := filepath.Clean(dir); ; at = filepath.Dir(at) {
		f, err := os.CreateTemp(at, ".bundle-*")
		if errors.Is(err, fs.ErrNotExist) && at != filepath.Dir(at) {
			continue
		}
		if err != nil {
			return wrongFolder(err)
		}
		err = layout.Reserve(f, RoomForReports)
		if err = errors.Join(err, f.Close(), os.Remove(f.Name())); err != nil {
			return fmt.Errorf("output folder: %w", err)
		}
		return nil
	}
}
