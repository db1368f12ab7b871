package layout

import (
	"errors"
	"fmt"
)

// ErrInUse says that another run is writing the same file.
var ErrInUse = errors.New("another run is writing it")

// FormatError says that a bundle is damaged, or is no bundle of this format.
type FormatError struct {
	Entry  string // name of the entry, as it stands in the file; "" where there is none
	Offset int64  // where in the file, in bytes from its begin
	What   string // what is wrong
}

// Error names the place and what is wrong there. The entry is quoted: its name
// may come from a hostile file.
func (e *FormatError) Error() string {
	if e.Entry == "" {
		return fmt.Sprintf("damaged bundle: at byte %d: %s", e.Offset, e.What)
	}
	return fmt.Sprintf("damaged bundle: entry %q at byte %d: %s", e.Entry, e.Offset, e.What)
}

// Damaged says that the file is to blame.
func (e *FormatError) Damaged() bool { return true }

// ReadError says that the medium of a bundle cannot be read. What stands there
// may be right.
type ReadError struct {
	Entry  string // name of the entry, as it stands in the file; "" where there is none
	Offset int64  // how far in the file reading came, in bytes from its begin
	Err    error  // what the system said
}

// Error names the place and what the system said.
func (e *ReadError) Error() string {
	if e.Entry == "" {
		return fmt.Sprintf("read bundle: at byte %d: %v", e.Offset, e.Err)
	}
	return fmt.Sprintf("read bundle: entry %q at byte %d: %v", e.Entry, e.Offset, e.Err)
}

// Unwrap returns what the system said.
func (e *ReadError) Unwrap() error { return e.Err }

// ContentError says that content is not what its name or its descriptor
// promises, or that a document is not one that a bundle may carry. Whether a
// bundle or a registry is to blame, the caller knows.
type ContentError struct {
	Subject string // entry, digest or kind of document
	Err     error  // what is wrong
}

// Error names the subject and what is wrong with it.
func (e *ContentError) Error() string { return e.Subject + ": " + e.Err.Error() }

// Unwrap returns what is wrong.
func (e *ContentError) Unwrap() error { return e.Err }

func contentErrorf(subject, format string, args ...any) error {
	return &ContentError{Subject: subject, Err: fmt.Errorf(format, args...)}
}

// SpaceError says that a file system has too little room for the bundle.
type SpaceError struct {
	Path              string // of the bundle
	Needed, Available int64  // bytes
	Err               error  // what the system said, where it was asked to reserve the room; else nil
}

// Error gives both numbers, in bytes.
func (e *SpaceError) Error() string {
	return fmt.Sprintf("%s: not enough space: %d bytes needed, %d available", e.Path, e.Needed, e.Available)
}

// Unwrap returns what the system said.
func (e *SpaceError) Unwrap() error { return e.Err }

// FlushError says that a bundle is whole and has its name, but that the system could
// not tell whether the name is on the disk: a power cut might still take it.
type FlushError struct {
	Path string
	Err  error
}

func (e *FlushError) Error() string {
	return fmt.Sprintf("%s is whole, but its folder could not be flushed to the disk: %v", e.Path, e.Err)
}

// Unwrap returns the failure of the system.
func (e *FlushError) Unwrap() error { return e.Err }

// NotFileError says that something else than a file stands where a bundle is to be
// written.
type NotFileError struct{ Path, Is string }

func (e *NotFileError) Error() string { return e.Path + " is " + e.Is }

// OccupiedError says that a file which is no bundle stands where one is to be
// written.
type OccupiedError struct{ Path string }

func (e *OccupiedError) Error() string {
	return e.Path + " is there already, and is no bundle: it is not replaced"
}
