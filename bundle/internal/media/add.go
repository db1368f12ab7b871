package media

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"bundle/bundle/internal/disk"
	"bundle/bundle/internal/fault"
	"bundle/layout/parity"
	"bundle/layout/parts"
)

// Where media are never there together, parity is computed part by part, in files
// of the state folder. Each part makes new files of them, and the old go when the
// state names the new: a run that is killed in between has lost nothing.

// round names a file of parity that is being computed.
func (m *Media) round(n int, suffix string) string {
	return m.path(m.State, fmt.Sprintf("%s.%d.partial", suffix, n))
}

func (m *Media) roundSuffixes() []string {
	all := []string{parts.BlocksSuffix}
	for k := range m.Set.Parity.Parity {
		all = append(all, fmt.Sprintf(".p%02d", k+1))
	}
	return all
}

// addParity brings part k into the parity.
func (m *Media) addParity(ctx context.Context, k int, path string) (err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.Set.Parity == nil || slices.Contains(m.state.Added, k) {
		return nil
	}
	src, err := os.Open(path)
	if err != nil {
		return err
	}
	defer src.Close()
	sums, old, err := m.openRound()
	if err != nil {
		return err
	}
	defer func() {
		for _, f := range old {
			err = errors.Join(err, f.(io.Closer).Close())
		}
	}()
	next := m.state.Round + 1
	var files []*parityFile
	defer func() {
		for _, f := range files {
			err = errors.Join(err, f.discard())
		}
	}()
	out := make([]io.Writer, m.Set.Parity.Parity)
	for i, suffix := range m.roundSuffixes()[1:] {
		f, err := createParity(m.round(next, suffix), m.size(len(m.Set.Parts)+1))
		if err != nil {
			return fault.WithHint(err, hintScratch)
		}
		files, out[i] = append(files, f), f.w
	}
	column := io.NewSectionReader(src, 0, m.Set.Parts[k-1].Size)
	if err := parts.AddColumn(ctx, m.Set, k-1, column, old, out, sums); err != nil {
		return err
	}
	for _, f := range files {
		if err := f.commit(); err != nil {
			return err
		}
	}
	if err := disk.WriteFile(m.round(next, parts.BlocksSuffix), sums.Format()); err != nil {
		return err
	}
	before := m.state.Round
	m.state.Round, m.state.Added = next, append(m.state.Added, k)
	if err := m.keepState(); err != nil {
		return err
	}
	return m.dropRound(before)
}

// openRound opens the parity as it is so far; nil before the first part.
func (m *Media) openRound() (*parity.Sums, []io.ReaderAt, error) {
	if len(m.state.Added) == 0 {
		return m.Set.NewSums(), nil, nil
	}
	b, err := os.ReadFile(m.round(m.state.Round, parts.BlocksSuffix))
	if err != nil {
		return nil, nil, err
	}
	sums, err := parity.ParseSums(b)
	if err != nil {
		return nil, nil, err
	}
	var old []io.ReaderAt
	for _, suffix := range m.roundSuffixes()[1:] {
		f, err := os.Open(m.round(m.state.Round, suffix))
		if err != nil {
			return nil, nil, err
		}
		old = append(old, f)
	}
	return sums, old, nil
}

func (m *Media) dropRound(n int) error {
	if n == 0 {
		return nil
	}
	var errs []error
	for _, suffix := range m.roundSuffixes() {
		errs = append(errs, os.Remove(m.round(n, suffix)))
	}
	return errors.Join(errs...)
}

// parityWritten reports whether all of parity is on its media.
func (m *Media) parityWritten() bool {
	for k := range m.Set.Parity.Parity {
		if m.state.Sums[m.Set.ParityName(k+1)] == "" {
			return false
		}
	}
	return true
}

// sweepRounds removes the parity of rounds that a killed run was about to make, or to
// remove.
func (m *Media) sweepRounds() error {
	if m.State == "" || m.Set.Parity == nil {
		return nil
	}
	var errs []error
	for _, suffix := range m.roundSuffixes() {
		left, err := filepath.Glob(escape(m.path(m.State, suffix)) + ".*.partial")
		if err != nil {
			return err
		}
		for _, path := range left {
			n, err := strconv.Atoi(strings.TrimPrefix(filepath.Ext(strings.TrimSuffix(path, ".partial")), "."))
			if err == nil && n != m.state.Round && path == m.round(n, suffix) {
				errs = append(errs, os.Remove(path))
			}
		}
	}
	return errors.Join(errs...)
}

// oneParity writes a part of parity onto the medium that is in the drive.
func (m *Media) oneParity(ctx context.Context, folder string, k int) (*Written, error) {
	if w, err := m.keptParity(ctx, folder, k); w != nil || err != nil {
		return w, err
	}
	if lacks := len(m.Set.Parts) - len(m.state.Added); lacks > 0 {
		return nil, &fault.UsageError{
			What:   fmt.Sprintf("parity needs all parts first: %d are not written yet", lacks),
			Advice: "write those with --part, with the same --state",
		}
	}
	sums, old, err := m.openRound()
	if err != nil {
		return nil, err
	}
	for _, f := range old {
		defer f.(io.Closer).Close()
	}
	for c := range m.Set.Parity.Parity {
		sums.Done(m.Set.Parity.Data + c)
	}
	if err := m.prologue(ctx, folder); err != nil {
		return nil, err
	}
	path := filepath.Join(folder, m.Set.ParityName(k))
	size := m.size(len(m.Set.Parts) + k)
	m.step("writing and reading back", size)
	if err := CopyAndCompare(ctx, path, io.NewSectionReader(old[k-1], 0, size), m.Progress.Add); err != nil {
		return nil, err
	}
	w, err := m.readParity(ctx, k, path, sums)
	if err != nil {
		return nil, err
	}
	list := sums.Format()
	for _, dir := range []string{folder, m.State} {
		if there, err := parts.ReadFile(m.path(dir, parts.BlocksSuffix), int64(len(list))); err == nil && bytes.Equal(there, list) {
			continue
		}
		if err := disk.WriteFile(m.path(dir, parts.BlocksSuffix), list); err != nil {
			return nil, err
		}
	}
	if err := m.beside(ctx, folder, w); err != nil {
		return nil, err
	}
	return w, m.endRounds()
}

// keptParity returns a part of parity that an earlier run has written and read back,
// if it is on this medium: what it was computed in may be gone.
func (m *Media) keptParity(ctx context.Context, folder string, k int) (*Written, error) {
	name := m.Set.ParityName(k)
	sum, path := m.state.Sums[name], filepath.Join(folder, name)
	if info, err := os.Lstat(path); sum == "" || err != nil || !info.Mode().IsRegular() {
		return nil, nil
	}
	for _, suffix := range []string{parts.BlocksSuffix, parts.HeadSuffix, parts.SetSuffix} {
		if _, err := os.Lstat(m.path(folder, suffix)); err != nil {
			return nil, nil
		}
	}
	got, err := parts.HashFile(ctx, path)
	if err != nil || got != sum {
		return nil, ctx.Err()
	}
	w := &Written{Path: path, Size: m.Set.ParitySize(), SHA256: sum, Parity: k, Kept: true, FromCache: m.NoReadBack}
	return w, errors.Join(m.beside(ctx, folder, w), m.endRounds())
}

// endRounds removes what parity was computed in, once all of it is on its media.
func (m *Media) endRounds() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	last := m.state.Round
	if last == 0 || !m.parityWritten() {
		return nil
	}
	m.state.Round, m.state.Added = 0, nil
	if err := m.keepState(); err != nil {
		return err
	}
	return m.dropRound(last)
}

// protectWritten computes parity over parts that are all there.
func (m *Media) protectWritten(ctx context.Context) (all []Written, err error) {
	f, err := parts.OpenSet(ctx, m.Folders, m.Set.ID)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	m.step("computing parity", m.Set.Size)
	return m.Protect(ctx, m.Set.Columns(f))
}
