package parts

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"syscall"

	"bundle/layout"
)

// A File is one bundle over the files that were found of it. Its methods may be
// called concurrently, but for Close, Release and Rescan.
type File struct {
	paths []string
	set   *Set // nil: one file, or slices that nothing describes
	size  int64

	mu       sync.RWMutex
	extents  []*extent // by where they begin
	columns  []*extent // of parity, by number; nil: not there
	lists    map[string][]string
	problems []error
	small    map[string]string // paths of set.json and the list of blocks, by suffix
	strange  []string          // files that the caller named, and that are nothing of it
	seen     map[int]bool      // parts, and columns of parity by [isColumn], that were there at some time
	repair   *repairer         // nil: nothing to repair with

	heads    []*extent // copies of the head that differ from the one among extents
	headAt   int       // which of the other heads is read, counted from 1; 0: none of them
	headSum  string    // SHA-256 of the head that is right; empty: not known yet
	headless bool      // no file has that
}

// An extent is a range of the bundle that a file has from its first byte on.
type extent struct {
	from, to int64
	part     int // 0: the head; of a bundle in one file, 1
	path     string

	mu   sync.Mutex
	file *os.File
}

// MissingError says that bytes are on none of the media given.
type MissingError struct{ Parts []int }

// Error names the parts.
func (e *MissingError) Error() string {
	if len(e.Parts) == 1 {
		return fmt.Sprintf("part %d is missing", e.Parts[0])
	}
	return fmt.Sprintf("parts %s are missing", Numbers(e.Parts))
}

// PartError says that a medium cannot be read.
type PartError struct {
	Path string
	Err  error
}

// Error names the file.
func (e *PartError) Error() string { return e.Path + ": " + e.Err.Error() }

// Unwrap returns what the system said.
func (e *PartError) Unwrap() error { return e.Err }

// openRegular opens a file for reading, if it is one.
func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe must not wait for its writer
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (x *extent) open() (*os.File, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.file == nil {
		f, err := openRegular(x.path)
		if err != nil {
			return nil, err
		}
		x.file = f
	}
	return x.file, nil
}

func (x *extent) readAt(p []byte, offset int64) (int, error) {
	p = p[:min(int64(len(p)), x.to-offset)]
	f, err := x.open()
	if err != nil {
		return 0, &PartError{x.path, err}
	}
	n, err := f.ReadAt(p, offset-x.from)
	switch {
	case n == len(p):
		return n, nil
	case err == io.EOF:
		return n, io.EOF // it was longer when it was found
	}
	return n, &PartError{x.path, err}
}

func (x *extent) close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.file == nil {
		return nil
	}
	err := x.file.Close()
	x.file = nil
	return err
}

// Size returns the size of the bundle in bytes, whatever is there of it.
func (f *File) Size() int64 { return f.size }

// Set says how the bundle was cut; nil where nothing says so.
func (f *File) Set() *Set { return f.set }

// Problems lists what is wrong with files that belong to the bundle, as far as was
// seen without reading them.
func (f *File) Problems() []error { return f.problems }

// Release closes all files, so that their media can be taken out. Reading opens
// them again.
func (f *File) Release() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var errs []error
	for _, x := range slices.Concat(f.extents, f.columns, f.heads) {
		if x != nil {
			errs = append(errs, x.close())
		}
	}
	return errors.Join(errs...)
}

// Close ends the reading.
func (f *File) Close() error { return f.Release() }

// ReadAt implements io.ReaderAt over the bundle. Headers and padding behind the
// head are those that set.json leads to, also where a part is there: what lies
// between blobs keeps nobody from reading them; see [File.CheckFrames].
func (f *File) ReadAt(p []byte, offset int64) (int, error) {
	done := 0
	for done < len(p) {
		if offset >= f.size {
			return done, io.EOF
		}
		n, err := f.readSome(p[done:], offset)
		done += n
		offset += int64(n)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// readSome reads something at offset, which is inside the bundle.
func (f *File) readSome(p []byte, offset int64) (int, error) {
	p = p[:min(int64(len(p)), f.size-offset)]
	if f.set != nil && offset >= f.set.Head {
		frame, left, err := f.set.frame(offset)
		if err != nil {
			return 0, err
		}
		if frame != nil {
			return copy(p, frame), nil
		}
		p = p[:min(int64(len(p)), left)]
	}
	return f.content(p, offset)
}

// content reads something of what media have at offset.
func (f *File) content(p []byte, offset int64) (int, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.held(p, offset)
}

// held is called with mu held.
func (f *File) held(p []byte, offset int64) (int, error) {
	switch {
	case f.headAt > 0 && offset < f.set.Head:
		x := f.otherHeads()[f.headAt-1]
		if offset < x.to {
			return x.readAt(p[:min(int64(len(p)), f.set.Head-offset)], offset)
		}
		return 0, &MissingError{[]int{1}}
	case f.repair != nil:
		return f.repair.readAt(f, p, offset)
	}
	return f.plain(p, offset)
}

// plain is called with mu held.
func (f *File) plain(p []byte, offset int64) (int, error) {
	var failed error
	for _, x := range f.extents { // sorted; there are two at most for a byte
		if x.from > offset {
			break
		}
		if offset >= x.to {
			continue
		}
		n, err := x.readAt(p, offset)
		if n > 0 || err == nil {
			return n, nil
		}
		failed = err
	}
	if failed != nil {
		return 0, failed
	}
	return 0, &MissingError{[]int{f.partAt(offset)}}
}

// partAt says which part a byte belongs to, counted from 1.
func (f *File) partAt(offset int64) int {
	if f.set == nil {
		for _, x := range f.extents {
			if offset < x.to {
				return x.part
			}
		}
		return len(f.extents) + 1
	}
	return f.set.partAt(offset)
}

func (s *Set) partAt(offset int64) int {
	i, found := slices.BinarySearchFunc(s.Parts, offset, func(p Part, at int64) int { return compare(p.Offset, at) })
	if found {
		i++
	}
	return max(i, 1)
}

func compare(a, b int64) int { return int(max(min(a-b, 1), -1)) }

// frame returns what lies at offset between two contents, up to the next content;
// or nil and how many bytes of content follow.
func (s *Set) frame(offset int64) (frame []byte, left int64, err error) {
	// The first entry whose content begins behind offset.
	i, found := slices.BinarySearchFunc(s.entries, offset, func(e layout.Entry, at int64) int { return compare(e.Offset, at) })
	if found {
		i++
	}
	begin := s.Head
	if i > 0 {
		last := s.entries[i-1]
		if end := last.Offset + last.Size; offset < end {
			return nil, end - offset, nil
		}
		begin = last.Offset + last.Size
	}
	gap, err := s.gap(i, begin)
	if err != nil {
		return nil, 0, err
	}
	return gap[offset-begin:], 0, nil
}

// gap is what lies between the content that ends at begin and that of entry i.
func (s *Set) gap(i int, begin int64) ([]byte, error) {
	if i == len(s.entries) {
		return make([]byte, s.Size-begin), nil
	}
	e := s.entries[i]
	gap := make([]byte, e.Offset-begin)
	header, err := layout.Header(e.Name, e.Size, s.Time())
	copy(gap[len(gap)-layout.BlockSize:], header)
	return gap, err
}

// Missing lists the parts that would be needed to read a range and are not there,
// nor can be computed from what is there.
func (f *File) Missing(from, to int64) []int {
	f.mu.RLock()
	defer f.mu.RUnlock()
	var missing []int
	for at := from; at < to; {
		end := f.covered(at)
		if end > at {
			at = end
			continue
		}
		part := f.partAt(at)
		end = f.nextCovered(at)
		if f.repair == nil || !f.able(at, min(end, to)) {
			if !slices.Contains(missing, part) {
				missing = append(missing, part)
			}
		}
		if f.set != nil {
			end = min(end, f.set.Parts[part-1].Offset+f.set.Parts[part-1].Size)
		}
		at = end
	}
	return missing
}

// PathAt is the file that a byte is read from; empty where none has it.
func (f *File) PathAt(offset int64) string {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for _, x := range f.extents {
		if x.from <= offset && offset < x.to {
			return x.path
		}
	}
	return ""
}

// Reach says how far a range can be read from its begin on, as files have it.
func (f *File) Reach(from, to int64) int64 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return min(f.covered(from), to)
}

// covered says how far the bytes from at on are in files.
func (f *File) covered(at int64) int64 {
	for _, x := range f.extents {
		if x.from <= at && at < x.to {
			at = x.to
		}
	}
	return at
}

func (f *File) nextCovered(at int64) int64 {
	for _, x := range f.extents {
		if x.from > at {
			return x.from
		}
	}
	return f.size
}

// Absent lists the parts of which something is not there.
func (f *File) Absent() []int {
	if f.set == nil {
		return nil
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	var all []int
	for i, p := range f.set.Parts {
		at := max(p.Offset, f.set.Head)
		if i > 0 {
			at = p.Offset
		}
		if end := p.Offset + p.Size; f.covered(at) < end {
			all = append(all, i+1)
		}
	}
	return all
}

// Unseen lists the parts that were never there, on whatever medium.
func (f *File) Unseen() []int {
	return slices.DeleteFunc(f.Absent(), func(k int) bool { return f.seen[k] })
}

// Count returns how many parts there are.
func (f *File) Count() int {
	if f.set == nil {
		return len(f.extents)
	}
	return len(f.set.Parts)
}

// Numbers writes numbers of parts for people: 2, 4 and 5.
func Numbers(parts []int) string {
	text := ""
	for i, p := range parts {
		switch {
		case i == 0:
		case i == len(parts)-1:
			text += " and "
		default:
			text += ", "
		}
		text += fmt.Sprint(p)
	}
	return text
}
