package layout

import (
	"errors"
	"fmt"
	"os"
)

// CheckSpace returns a [*SpaceError] where the file system of file has no room
// for size more bytes. Where it cannot be asked, there is room.
func CheckSpace(file *os.File, size int64) error {
	available, err := freeSpace(file)
	if err != nil {
		return fmt.Errorf("free space for %s: %w", file.Name(), err)
	}
	if available < size {
		return &SpaceError{Path: file.Name(), Needed: size, Available: available}
	}
	return nil
}

// Reserve gives an empty file room for size bytes without writing any, or
// returns a [*SpaceError]. Where the file system cannot reserve room, it is asked
// whether there is some.
func Reserve(file *os.File, size int64) error {
	if err := CheckSpace(file, size); err != nil {
		return err
	}
	err := allocate(file, size)
	switch {
	case errors.Is(err, errInOrder):
		return nil
	case isNoSpace(err):
		return &SpaceError{Path: file.Name(), Needed: size, Err: err}
	case err != nil:
		return fmt.Errorf("%s: reserve %d bytes: %w", file.Name(), size, err)
	}
	return nil
}
