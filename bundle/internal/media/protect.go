package media

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sync/errgroup"

	"bundle/bundle/internal/disk"
	"bundle/layout"
	"bundle/layout/parity"
	"bundle/layout/parts"
)

// parityFolder is where a part of parity goes: after the last part of data, in
// turn.
func (m *Media) parityFolder(k int) string {
	n := len(m.Set.Parts)
	if m.Set.Whole() {
		n = 0
	}
	return m.Folders[(n+k-1)%len(m.Folders)]
}

// Protect computes the parts of parity, writes each into its folder, and reads it
// back. data gives the columns of data.
func (m *Media) Protect(ctx context.Context, data func(c int) parts.Column) (all []Written, err error) {
	defer func() { err = m.complete(err, m.folders()...) }()
	files := make([]*parityFile, m.Set.Parity.Parity)
	defer func() {
		for _, f := range files {
			err = errors.Join(err, f.discard())
		}
	}()
	out := make([]io.Writer, len(files))
	for k := range files {
		folder := m.parityFolder(k + 1)
		if err := m.prologue(ctx, folder); err != nil {
			return nil, err
		}
		if files[k], err = createParity(filepath.Join(folder, m.Set.ParityName(k+1)), m.Set.ParitySize()); err != nil {
			return nil, err
		}
		out[k] = files[k].w
	}
	sums, err := parts.EncodeParity(ctx, m.Set, data, out, m.Progress.Add)
	if err != nil {
		return nil, err
	}
	all = make([]Written, len(files))
	var g errgroup.Group
	for _, folder := range slices.Compact(slices.Sorted(slices.Values(m.Folders))) { // each medium by itself
		g.Go(func() error {
			for k, f := range files {
				if m.parityFolder(k+1) != folder {
					continue
				}
				if err := f.commit(); err != nil {
					return err
				}
				w, err := m.readParity(ctx, k+1, f.path, sums)
				if err != nil {
					return err
				}
				all[k] = *w
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return all, m.spread(ctx, sums, all)
}

// spread brings the list of blocks and the whole list of checksums onto the media
// that are there.
func (m *Media) spread(ctx context.Context, sums *parity.Sums, all []Written) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range all {
		m.state.Sums[filepath.Base(w.Path)] = w.SHA256
	}
	list := sums.Format()
	for _, folder := range m.Folders {
		err := errors.Join(m.prologue(ctx, folder), disk.WriteFile(m.path(folder, parts.BlocksSuffix), list))
		if err == nil {
			err = m.list(ctx, folder)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readParity reads a part of parity back from its medium.
func (m *Media) readParity(ctx context.Context, k int, path string, sums *parity.Sums) (*Written, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if !m.NoReadBack {
		disk.DropCache(f)
	}
	buf := make([]byte, parity.BlockSize)
	for b := range m.Set.Parity.Blocks {
		block := buf[:min(m.Set.ParitySize()-b*parity.BlockSize, parity.BlockSize)]
		if _, err := io.ReadFull(f, block); err != nil {
			return nil, fmt.Errorf("%s: read back: %w", path, err)
		}
		if want, _ := sums.At(m.Set.Parity.Data+k-1, b); parity.Sum(block) != want {
			return nil, errors.Join(&DiffersError{path, fmt.Sprintf("block %d was read back with other content", b)}, f.Close(), os.Remove(path))
		}
	}
	sum, err := parts.HashFile(ctx, path)
	if err != nil {
		return nil, err
	}
	return &Written{Path: path, Size: m.Set.ParitySize(), SHA256: sum, Parity: k, FromCache: m.NoReadBack}, nil
}

// A parityFile gets its name when it is complete.
type parityFile struct {
	path string
	f    *os.File
	w    *bufio.Writer
}

func createParity(path string, size int64) (*parityFile, error) {
	partial := path + ".partial"
	if info, err := os.Lstat(partial); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", partial)
	}
	f, err := os.Create(partial)
	if err != nil {
		return nil, err
	}
	p := &parityFile{path: path, f: f, w: bufio.NewWriterSize(f, 64<<10)}
	if err := layout.CheckSpace(f, size); err != nil {
		return nil, errors.Join(err, p.discard())
	}
	return p, nil
}

func (p *parityFile) commit() error {
	err := errors.Join(p.w.Flush(), p.f.Sync())
	if err = errors.Join(err, p.f.Close()); err != nil {
		return err
	}
	p.f = nil
	if err := os.Rename(p.path+".partial", p.path); err != nil {
		return err
	}
	return layout.SyncFolder(filepath.Dir(p.path))
}

// discard removes what was not committed.
func (p *parityFile) discard() error {
	if p == nil || p.f == nil {
		return nil
	}
	err := errors.Join(p.f.Close(), os.Remove(p.path+".partial"))
	p.f = nil
	return err
}
