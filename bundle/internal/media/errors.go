package media

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"

	"bundle/bundle/internal/fault"
	"bundle/layout"
	"bundle/layout/parts"
)

// joined leaves out the errors of those who were stopped because of another.
func joined(failed []error) error {
	var real []error
	for _, err := range failed {
		if err != nil && !errors.Is(err, context.Canceled) {
			real = append(real, err)
		}
	}
	if len(real) == 0 {
		return errors.Join(failed...)
	}
	return errors.Join(real...)
}

// A MediumError is what went wrong with one medium.
type MediumError struct {
	Part int
	Path string
	Err  error
}

func (e *MediumError) Error() string {
	var wrong *parts.WrongError
	if errors.As(e.Err, &wrong) {
		return e.Err.Error() // it names the part
	}
	return fmt.Sprintf("part %d: %v", e.Part, e.Err)
}

// Unwrap returns what the system said.
func (e *MediumError) Unwrap() error { return e.Err }

// Fault says how to go on.
func (e *MediumError) Fault() (fault.Kind, string) {
	var wrong *parts.WrongError
	if errors.As(e.Err, &wrong) {
		return fault.KindOf(e.Err), "what is wrong is removed: the same command writes it again"
	}
	return fault.KindOf(e.Err), "the other parts are not touched by it: the same command goes on with what is missing"
}

// A DiffersError is a file that is not on its medium what was written there.
type DiffersError struct{ Path, What string }

func (e *DiffersError) Error() string { return e.Path + ": " + e.What }

// Damaged says that the file is to blame.
func (e *DiffersError) Damaged() bool { return true }

// ofMedia reports whether all that went wrong is blamed on media.
func ofMedia(err error) bool {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		return !slices.ContainsFunc(all.Unwrap(), func(err error) bool { return !ofMedia(err) })
	}
	var bad *MediumError
	return errors.As(err, &bad)
}

// ofMedium reports whether a medium is to blame.
func ofMedium(err error) bool {
	var (
		space *layout.SpaceError
		path  *fs.PathError
		wrong *parts.WrongError
		other *DiffersError
		errno syscall.Errno
	)
	if errors.As(err, &space) || errors.As(err, &wrong) || errors.As(err, &other) || errors.As(err, &path) {
		return true
	}
	return errors.As(err, &errno) && slices.Contains([]syscall.Errno{syscall.ENOSPC, syscall.EROFS, syscall.EIO, syscall.ENODEV, syscall.EFBIG}, errno)
}

// medium blames a medium for err, where it is to blame.
func (m *Media) medium(k int, path string, err error) error {
	if err == nil || !ofMedium(err) {
		return err
	}
	var known *MediumError
	if errors.As(err, &known) {
		return err
	}
	return &MediumError{k, path, err}
}
