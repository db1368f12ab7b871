package layout

import (
	"cmp"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// FS returns the bundle as a read-only file system, for libraries that read an
// OCI layout from one. Files are also io.ReaderAt and io.Seeker. Content is
// not verified: who reads through FS has to verify, or to have verified.
func (r *Reader) FS() fs.FS { return fileSystem{r} }

type fileSystem struct{ r *Reader }

func (f fileSystem) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	if e, ok := f.r.Entry(name); ok {
		return &file{f.r.section(e), f.r.info(e)}, nil
	}
	var entries []fs.DirEntry
	switch name {
	case ".", ocispec.ImageBlobsDir, path.Clean(blobPrefix):
		entries = f.r.folder(name)
	}
	if len(entries) == 0 {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &folder{info: folderInfo(name, f.r.ModTime()), entries: entries}, nil
}

// folder lists what lies directly in a folder, sorted by name.
func (r *Reader) folder(name string) []fs.DirEntry {
	prefix := name + "/"
	if name == "." {
		prefix = ""
	}
	var list []fs.DirEntry
	folders := make(map[string]bool)
	for e := range r.All() {
		rest, inside := strings.CutPrefix(e.Name, prefix)
		if !inside {
			continue
		}
		first, _, deeper := strings.Cut(rest, "/")
		switch {
		case !deeper:
			list = append(list, fs.FileInfoToDirEntry(r.info(e)))
		case !folders[first]:
			folders[first] = true
			list = append(list, fs.FileInfoToDirEntry(folderInfo(first, r.ModTime())))
		}
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	return list
}

func (r *Reader) info(e Entry) info {
	return info{name: path.Base(e.Name), size: e.Size, mode: 0o444, modTime: r.ModTime()}
}

func folderInfo(name string, modTime time.Time) info {
	return info{name: path.Base(name), mode: fs.ModeDir | 0o555, modTime: modTime}
}

// file is an entry; the section gives it Read, ReadAt and Seek.
type file struct {
	*io.SectionReader
	info info
}

func (f *file) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *file) Close() error               { return nil }

// folder is an open folder.
type folder struct {
	info    info
	entries []fs.DirEntry // those not yet listed
}

func (f *folder) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *folder) Close() error               { return nil }

func (f *folder) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: f.info.name, Err: fs.ErrInvalid}
}

func (f *folder) ReadDir(n int) ([]fs.DirEntry, error) {
	if n > 0 && len(f.entries) == 0 {
		return nil, io.EOF
	}
	if n <= 0 || n > len(f.entries) {
		n = len(f.entries)
	}
	list := slices.Clone(f.entries[:n])
	f.entries = f.entries[n:]
	return list, nil
}

// info describes a file or a folder.
type info struct {
	name    string
	size    int64
	mode    fs.FileMode
	modTime time.Time
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return i.mode }
func (i info) ModTime() time.Time { return i.modTime }
func (i info) IsDir() bool        { return i.mode.IsDir() }
func (i info) Sys() any           { return nil }
