package media

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"bundle/bundle/internal/disk"
	"bundle/layout/parts"
)

// there reports whether there is a file that may be a part.
func (m *Media) there(k int, path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode().IsRegular() && info.Size() == m.size(k)
}

// kept returns a part that an earlier run has written, if it is right. One that is
// wrong is removed.
func (m *Media) kept(ctx context.Context, k int, path string) *Written {
	if !m.there(k, path) {
		return nil
	}
	w, err := m.prove(ctx, k, path, m.proof.Part)
	if err == nil && m.suspect(w) {
		err = &parts.WrongError{Part: k}
	}
	var wrong *parts.WrongError
	if errors.As(err, &wrong) {
		_ = os.Remove(path) // what stays in the way of the new one is told when that takes its name
	}
	if err != nil {
		return nil
	}
	w.Kept = true
	m.Progress.Skip(w.Size)
	return w
}

// readBack reads a part that was written from its medium and proves it. Nobody is to
// take one that is wrong for the part.
func (m *Media) readBack(ctx context.Context, k int, path string) (*Written, error) {
	part := m.proof.Part
	if m.NoReadBack && m.Verified {
		part = m.proof.Written
	}
	w, err := m.prove(ctx, k, path, part)
	if err != nil {
		return nil, m.removeWrong(err, path)
	}
	return w, nil
}

func (m *Media) prove(ctx context.Context, k int, path string, part func(context.Context, int, io.Reader, func(int64)) (string, bool, error)) (*Written, error) {
	f, err := m.openBack(path)
	if err != nil {
		return nil, err
	}
	sum, _, err := part(ctx, k, f, func(int64) {})
	_ = f.Close() // it was only read
	if err != nil {
		return nil, err
	}
	return &Written{Part: k, Path: path, Size: m.Set.Parts[k-1].Size, SHA256: sum, FromCache: m.NoReadBack}, nil
}

// openBack opens a part to read what is on its medium.
func (m *Media) openBack(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err == nil && !m.NoReadBack {
		disk.DropCache(f)
	}
	return f, err
}

// removeWrong removes a part that is wrong. Of a blob that is cut, nothing tells which
// piece is wrong: all parts with one go, and what was made of them.
func (m *Media) removeWrong(err error, path string) error {
	var wrong *parts.WrongError
	if !errors.As(err, &wrong) {
		return err
	}
	errs := []error{err, os.Remove(path)}
	if wrong.First == 0 {
		return errors.Join(errs...)
	}
	m.proof.Forget(wrong)
	m.mu.Lock()
	defer m.mu.Unlock()
	for k := wrong.First; k < wrong.Part; k++ {
		name := m.Set.PartName(k)
		for _, folder := range m.Folders {
			if err := os.Remove(filepath.Join(folder, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
		}
		if sum := m.state.Sums[name]; sum != "" {
			m.state.Suspect = append(m.state.Suspect, sum)
			delete(m.state.Sums, name)
		}
	}
	if m.State == "" {
		return errors.Join(errs...)
	}
	round := m.state.Round
	if m.Set.Parity != nil { // it was computed from them: begin again, with every part
		m.state.Sums, m.state.Added, m.state.Round = make(map[string]string), nil, 0
	}
	if err := m.keepState(); err != nil {
		return errors.Join(append(errs, err)...)
	}
	return errors.Join(append(errs, m.dropRound(round))...)
}

// suspect reports whether a part has what was found to be a wrong piece, or may be one.
func (m *Media) suspect(w *Written) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Contains(m.state.Suspect, w.SHA256)
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
		}
		if err != nil {
			return m.medium(w.Part, w.Path, m.removeWrong(err, w.Path))
		}
	}
	return nil
}
