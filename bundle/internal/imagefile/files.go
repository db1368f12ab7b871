package imagefile

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"bundle/bundle/internal/fault"
)

// folder is a folder. Links that lead out of it are not followed.
type folder struct{ root *os.Root }

func (f folder) open(name string) (blob, error) {
	// Asked before: opening a pipe waits for who writes to it.
	info, err := f.root.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	file, err := f.root.Open(name)
	if err != nil {
		return nil, err
	}
	return inFile{file, info.Size()}, nil
}

type inFile struct {
	*os.File
	size int64
}

func (f inFile) Size() int64 { return f.size }

// maxEntries bounds the entries of a tar.
const maxEntries = 200_000

// tarFile is a tar that is not compressed: what lies in it can be read in place.
type tarFile struct {
	file    *os.File
	entries map[string]entry
}

// entry is a file in a tar, or a link to one.
type entry struct {
	offset, size int64
	link         string // name that it stands for; empty: itself
}

func openTar(ctx context.Context, name string) (*tarFile, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	t := &tarFile{file, make(map[string]entry)}
	if err := t.index(ctx, info.Size()); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return t, nil
}

// compressed are what compressed files begin with, and what makes a tar of them.
var compressed = map[string]string{"\x1f\x8b": "gunzip", "\x28\xb5\x2f\xfd": "unzstd", "BZh": "bunzip2", "\xfd7zXZ": "unxz"}

// index reads all headers, and none of the content.
func (t *tarFile) index(ctx context.Context, size int64) error {
	head := make([]byte, 8)
	if _, err := t.file.ReadAt(head, 0); err != nil && err != io.EOF {
		return err
	}
	for magic, tool := range compressed {
		if strings.HasPrefix(string(head), magic) {
			return &fault.UsageError{
				What:   t.file.Name() + " is compressed, and cannot be read in place",
				Advice: tool + " it first",
			}
		}
	}
	r := tar.NewReader(t.file) // skips by seeking
	for {
		h, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if len(t.entries) == maxEntries {
			return fmt.Errorf("more than %d entries", maxEntries)
		}
		name := path.Clean(h.Name)
		switch h.Typeflag {
		case tar.TypeReg:
			offset, err := t.file.Seek(0, io.SeekCurrent)
			if err != nil {
				return err
			}
			if h.Size > size-offset {
				return fmt.Errorf("truncated: %s does not fit into the file", name)
			}
			t.entries[name] = entry{offset: offset, size: h.Size}
		case tar.TypeSymlink:
			t.entries[name] = entry{link: path.Join(path.Dir(name), h.Linkname)}
		case tar.TypeLink:
			t.entries[name] = entry{link: path.Clean(h.Linkname)}
		}
	}
}

func (t *tarFile) open(name string) (blob, error) {
	const links = 8
	name = path.Clean(name)
	for range links {
		e, ok := t.entries[name]
		if !ok {
			break
		}
		if e.link == "" {
			return section{io.NewSectionReader(t.file, e.offset, e.size)}, nil
		}
		name = e.link
	}
	return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
}

// section is a part of a file that somebody else closes.
type section struct{ *io.SectionReader }

func (section) Close() error { return nil }

func inMemory(b []byte) blob { return memory{bytes.NewReader(b)} }

type memory struct{ *bytes.Reader }

func (memory) Close() error { return nil }
