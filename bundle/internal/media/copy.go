package media

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"bundle/bundle/internal/disk"
	"bundle/bundle/internal/progress"
	"bundle/layout"
)

// Copy writes what src has under path, from front to back, whole or not at all, and
// on the disk. What a run left that was stopped is kept as far as it is the same.
func Copy(ctx context.Context, path string, src *io.SectionReader, told func(int64)) error {
	commit, err := Begin(ctx, path, src, told)
	if err != nil {
		return err
	}
	return commit()
}

// Begin is Copy up to where the content is written; commit does the rest.
func Begin(ctx context.Context, path string, src *io.SectionReader, told func(int64)) (commit func() error, err error) {
	partial := path + ".partial"
	if info, err := os.Lstat(partial); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", partial)
	}
	f, err := os.OpenFile(partial, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	have, err := common(ctx, f, src)
	if err == nil {
		told(have)
		err = layout.CheckSpace(f, src.Size()-have)
	}
	if err == nil {
		err = errors.Join(f.Truncate(have), fill(ctx, f, src, have, told))
	}
	if err != nil {
		_ = f.Close() // the first error says more
		return nil, fmt.Errorf("%s: %w", partial, err)
	}
	return func() error { return commitCopy(f, path) }, nil
}

func commitCopy(f *os.File, path string) error {
	partial := f.Name()
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("%s: %w", partial, err)
	}
	if err := os.Rename(partial, path); err != nil {
		return err
	}
	return layout.SyncFolder(filepath.Dir(path))
}

// CopyAndCompare is Copy that reads back what it wrote. A file that differs is
// removed.
func CopyAndCompare(ctx context.Context, path string, src *io.SectionReader, told func(int64)) error {
	if err := Copy(ctx, path, src, told); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	disk.DropCache(f)
	same, err := equal(ctx, f, src)
	_ = f.Close() // it was only read
	if err == nil && !same {
		err = errors.Join(&DiffersError{path, "read back with other content"}, os.Remove(path))
	}
	return err
}

// Holds reports whether a file has just that content. One that is not there is
// fs.ErrNotExist, and what is no file is no content.
func Holds(ctx context.Context, path string, src *io.SectionReader) (bool, error) {
	st, err := os.Lstat(path)
	if err != nil {
		return false, err
	}
	if !st.Mode().IsRegular() || st.Size() != src.Size() {
		return false, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	return equal(ctx, f, src)
}

// equal compares the content of two.
func equal(ctx context.Context, a, b io.ReaderAt) (bool, error) {
	x, y := progress.Buffers.Get().(*[]byte), progress.Buffers.Get().(*[]byte)
	defer progress.Buffers.Put(x)
	defer progress.Buffers.Put(y)
	for at := int64(0); ; at += int64(len(*x)) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		n, err := a.ReadAt(*x, at)
		if err != nil && err != io.EOF {
			return false, err
		}
		m, err := b.ReadAt((*y)[:len(*x)], at)
		if err != nil && err != io.EOF {
			return false, err
		}
		if n != m || string((*x)[:n]) != string((*y)[:m]) {
			return false, nil
		}
		if n < len(*x) {
			return true, nil
		}
	}
}

func fill(ctx context.Context, f *os.File, src *io.SectionReader, at int64, told func(int64)) error {
	buf := progress.Buffers.Get().(*[]byte)
	defer progress.Buffers.Put(buf)
	for at < src.Size() {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := src.ReadAt((*buf)[:min(int64(len(*buf)), src.Size()-at)], at)
		if n == 0 {
			return err
		}
		if _, err := f.WriteAt((*buf)[:n], at); err != nil {
			return err
		}
		at += int64(n)
		told(int64(n))
	}
	return nil
}

// common is how many bytes of f are those of src already, in whole buffers.
func common(ctx context.Context, f *os.File, src *io.SectionReader) (int64, error) {
	a, b := progress.Buffers.Get().(*[]byte), progress.Buffers.Get().(*[]byte)
	defer progress.Buffers.Put(a)
	defer progress.Buffers.Put(b)
	for at := int64(0); ; at += int64(len(*a)) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		n, err := f.ReadAt(*a, at)
		if n < len(*a) {
			if err != nil && err != io.EOF {
				return 0, err
			}
			return at, nil
		}
		if m, err := src.ReadAt((*b)[:n], at); m < n || string((*a)[:n]) != string((*b)[:n]) {
			if err == io.EOF || m == n {
				return at, nil
			}
			return 0, err
		}
	}
}
