package media

import (
	"context"
	"errors"
	"io"
	"os"

	"bundle/bundle/internal/disk"
	"bundle/layout/parts"
)

// there reports whether there is a file that may be a part.
func (m *Media) there(k int, path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode().IsRegular() && info.Size() == m.size(k)
}

// kept returns a part that an earlier run has written, if it is right.
func (m *Media) kept(ctx context.Context, k int, path string) *Written {
	if !m.there(k, path) {
		return nil
	}
	w, err := m.prove(ctx, k, path, m.proof.Part)
	if err != nil {
		return nil
	}
	w.Kept = true
	m.Progress.Skip(w.Size)
	return w
}

// readBack reads a part that was written from its medium and proves it.
func (m *Media) readBack(ctx context.Context, k int, path string) (*Written, error) {
	if m.NoReadBack && m.Verified {
		return m.prove(ctx, k, path, m.proof.Written)
	}
	return m.prove(ctx, k, path, m.proof.Part)
}

func (m *Media) prove(ctx context.Context, k int, path string, part func(context.Context, int, io.Reader, func(int64)) (string, bool, error)) (*Written, error) {
	f, err := m.openBack(path)
	if err != nil {
		return nil, err
	}
	sum, _, err := part(ctx, k, f, func(int64) {})
	_ = f.Close() // it was only read
	if err != nil {
		return nil, removeWrong(path, err)
	}
	return &Written{Part: k, Path: path, Size: m.Set.Parts[k-1].Size, SHA256: sum}, nil
}

// openBack opens a part to read what is on its medium.
func (m *Media) openBack(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err == nil && !m.NoReadBack {
		disk.DropCache(f)
	}
	return f, err
}

// removeWrong removes a part that is wrong: nobody is to take it for the part.
func removeWrong(path string, err error) error {
	var wrong *parts.WrongError
	if errors.As(err, &wrong) {
		return errors.Join(err, os.Remove(path))
	}
	return err
}

// proveLate reads once more what could not be proved, since the part before was
// not read yet.
func (m *Media) proveLate(ctx context.Context, all []Written) error {
	for _, w := range all {
		if !m.proof.Open(w.Part) {
			continue
		}
		f, err := m.openBack(w.Path)
		if err == nil {
			err = m.proof.Late(ctx, w.Part, f)
			_ = f.Close() // it was only read
			err = removeWrong(w.Path, err)
		}
		if err != nil {
			return &MediumError{w.Part, w.Path, err}
		}
	}
	return nil
}
