package layout

import (
	"errors"
	"fmt"
	"os"
)

// CheckSpace returns a [*SpaceError] where the file system of file has no room
// for size more bytes. Where it cannot be asked, there is room.
func CheckSpace(file *os.File, size int64) error { return checkSpace(file, file.Name(), size) }

func checkSpace(file *os.File, name string, size int64) error {
	available, err := freeSpace(file)
	if err != nil {
		return fmt.Errorf("free space for %s: %w", name, err)
	}
	if available < size {
		return &SpaceError{Path: name, Needed: size, Available: available}
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
	err := reserve(file, file.Name(), size)
	if errors.Is(err, errInOrder) {
		return nil
	}
	return err
}

// reserve gives a file its size, with blocks behind it.
func reserve(file *os.File, name string, size int64) error {
	err := allocate(file, size)
	if isNoSpace(err) {
		available, _ := freeSpace(file) // it is for the message
		return &SpaceError{Path: name, Needed: size, Available: available, Err: err}
	}
	if err != nil {
		return fmt.Errorf("%s: reserve %d bytes: %w", name, size, err)
	}
	return nil
}
