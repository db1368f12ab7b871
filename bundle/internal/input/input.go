// Package input reads what a command line names: files, and the pipes and devices
// that stand for some.
//
// The contract: whatever it is, reading ends: with the limit in bytes, with the
// context, or when nothing comes for a minute. Errors are of the kind Usage.
//
//	key, err := input.File(ctx, "release-key", 1<<20)
package input

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"bundle/bundle/internal/fault"
)

// patience is how long the writer of a pipe may be silent.
const patience = time.Minute

// An Error is a file that cannot be read, or not to its end.
type Error struct{ Err error }

func (e *Error) Error() string {
	var at *fs.PathError
	switch {
	case !errors.As(e.Err, &at):
		return e.Err.Error()
	case errors.Is(at, fs.ErrNotExist):
		return at.Path + ": no such file"
	case errors.Is(at, fs.ErrPermission):
		return at.Path + ": no permission to read it"
	}
	return at.Path + ": " + at.Err.Error()
}
func (e *Error) Unwrap() error { return e.Err }

// Fault is that of a command line that names a wrong file.
func (e *Error) Fault() (fault.Kind, string) {
	var slow *silentError
	if errors.As(e.Err, &slow) {
		return fault.Usage, "it is a pipe: check the program that is to write into it"
	}
	switch {
	case errors.Is(e.Err, fs.ErrNotExist):
		return fault.Usage, fault.HintPath
	case errors.Is(e.Err, fs.ErrPermission):
		return fault.Usage, "let yourself read it, with chmod, or run as somebody who may"
	}
	return fault.Usage, ""
}

type silentError struct {
	name  string
	limit time.Duration
}

func (e *silentError) Error() string { return fmt.Sprintf("%s: nothing came for %v", e.name, e.limit) }

// File reads a file, pipe or device of at most limit bytes.
func File(ctx context.Context, name string, limit int64) ([]byte, error) {
	return read(ctx, name, limit, patience)
}

func read(ctx context.Context, name string, limit int64, patience time.Duration) ([]byte, error) {
	f, err := open(ctx, name, patience)
	if ctx.Err() != nil && err != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, &Error{err}
	}
	defer f.Close()
	// A file has no deadline, and needs none.
	stop := context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	b, err := io.ReadAll(io.LimitReader(&patient{ctx.Err, f, patience}, limit+1))
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, &Error{&silentError{name, patience}}
	case err != nil:
		return nil, &Error{err}
	case int64(len(b)) > limit:
		return nil, &Error{fmt.Errorf("%s has more than the %d bytes that are read of such a file", name, limit)}
	}
	return b, nil
}

// patient waits anew for each piece.
type patient struct {
	ended func() error
	f     *os.File
	limit time.Duration
}

func (p *patient) Read(b []byte) (int, error) {
	_ = p.f.SetReadDeadline(time.Now().Add(p.limit))
	if err := p.ended(); err != nil { // else its deadline may just have been taken back
		return 0, err
	}
	return p.f.Read(b)
}
