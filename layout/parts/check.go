package parts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"bundle/layout"
)

// A FrameError says that what lies between the blobs of a part is damaged, or the
// head on one medium is. All blobs may be right.
type FrameError struct {
	Path   string
	Offset int64 // in the file
}

// Error names the place.
func (e *FrameError) Error() string {
	return fmt.Sprintf("%s: at byte %d: not the header, the padding or the document that stands there in the bundle", e.Path, e.Offset)
}

// Damaged says that the file is to blame.
func (e *FrameError) Damaged() bool { return true }

// CheckFrames compares what lies between blobs with what has to, in the files that
// are there, and the head on one medium with that on another. It goes on after
// damage.
func (f *File) CheckFrames(ctx context.Context) error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.set == nil || f.repair != nil && f.repair.sums != nil {
		return nil // or the blocks have checksums
	}
	var errs []error
	begin := f.set.Head
	for i := range len(f.set.entries) + 1 {
		if err := ctx.Err(); err != nil {
			return err
		}
		gap, err := f.set.gap(i, begin)
		if err != nil {
			return err
		}
		errs = append(errs, f.compare(gap, begin))
		if i < len(f.set.entries) {
			begin = f.set.entries[i].Offset + f.set.entries[i].Size
		}
	}
	return errors.Join(append(errs, f.compareHeads())...)
}

// compare looks at what extents have at a place.
func (f *File) compare(want []byte, at int64) error {
	for _, x := range f.extents {
		from, to := max(at, x.from), min(at+int64(len(want)), x.to)
		if from >= to {
			continue
		}
		part := want[from-at : to-at]
		got := make([]byte, len(part))
		if _, err := x.readAt(got, from); err != nil {
			return err
		}
		if !bytes.Equal(got, part) {
			return &FrameError{x.path, from - x.from}
		}
	}
	return nil
}

// compareHeads compares the copies of the head with that which is read. It is called
// with mu held.
func (f *File) compareHeads() error {
	var errs []error
	for _, x := range append(slices.Clone(f.extents), f.heads...) {
		if x.from == 0 && x.to >= f.set.Head {
			errs = append(errs, f.compareHead(x))
		}
	}
	return errors.Join(errs...)
}

func (f *File) compareHead(x *extent) error {
	right, buf := make([]byte, 256<<10), make([]byte, 256<<10)
	for at := int64(0); at < f.set.Head; {
		n, err := f.held(right[:min(int64(len(right)), f.set.Head-at)], at)
		if n == 0 {
			return err
		}
		if _, err := x.readAt(buf[:n], at); err != nil {
			return err
		}
		if !bytes.Equal(buf[:n], right[:n]) {
			return &FrameError{x.path, at}
		}
		at += int64(n)
	}
	return nil
}

// Spans is how many parts a range lies in.
func (f *File) Spans(from, to int64) int {
	if f.set == nil {
		return 1
	}
	return f.set.Spans(from, to)
}

// Spans is how many parts a range lies in.
func (s *Set) Spans(from, to int64) int {
	if to <= from {
		return 1
	}
	return s.partAt(to-1) - s.partAt(from) + 1
}

// Files lists the paths that are read.
func (f *File) Files() (paths []string) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for _, x := range slices.Concat(f.extents, f.columns) {
		if x != nil {
			paths = append(paths, x.path)
		}
	}
	return paths
}

// Beside lists the paths that signatures beside the bundle are named after: its
// name in the folder of each file.
func (f *File) Beside() (paths []string) {
	if f.set == nil && len(f.extents) == 1 {
		return []string{f.extents[0].path}
	}
	for _, path := range f.Files() {
		base := Stem(filepath.Base(path))
		if f.set != nil {
			base = f.set.Name
		}
		if p := filepath.Join(filepath.Dir(path), base); !slices.Contains(paths, p) {
			paths = append(paths, p)
		}
	}
	return paths
}

// HeadSize is how many bytes every medium has of the begin: up to the end of the
// last entry that is none of layers.
func HeadSize(entries []layout.Entry, isLayer func(layout.Entry) bool) int64 {
	head := int64(0)
	for _, e := range entries {
		if !isLayer(e) {
			head = e.Offset - layout.BlockSize + layout.Footprint(e.Size)
		}
	}
	return head
}

// Listed returns the SHA-256 of files beside the bundle, by name, as far as one
// list of checksums or several that agree have them.
func (f *File) Listed() map[string]string {
	sums := make(map[string]string)
	for name, all := range f.lists {
		if len(all) == 1 {
			sums[name] = all[0]
		}
	}
	return sums
}

// Name is the file name of the bundle.
func (f *File) Name() string {
	if f.set != nil {
		return f.set.Name
	}
	name := filepath.Base(f.extents[0].path)
	if len(f.extents) == 1 {
		return name
	}
	if s := strings.TrimRight(strings.TrimSuffix(Stem(name), tail.FindString(Stem(name))), ".-_"); s != "" && Stem(name) == name {
		return s
	}
	return Stem(name)
}

// A Source is a file that has a part, a part of parity, or what lies beside parts.
type Source struct {
	Name string // as it is called in the set
	Path string
	Part int // 0: what lies beside, or parity
}

// Sources lists the files of the set that are there.
func (f *File) Sources() (all []Source) {
	if f.set == nil {
		return nil
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	for _, x := range f.extents {
		name := f.set.Name + HeadSuffix
		if x.part > 0 {
			name = f.set.Parts[x.part-1].Name
		}
		all = append(all, Source{name, x.path, x.part})
	}
	for k, x := range f.columnList() {
		if x != nil {
			all = append(all, Source{f.set.ParityName(k + 1), x.path, 0})
		}
	}
	for suffix, path := range f.small {
		all = append(all, Source{f.set.Name + suffix, path, 0})
	}
	return all
}

// Needs is how many more media of the set are needed before everything can be read
// or computed.
func (f *File) Needs() int {
	absent := len(f.Absent())
	if f.set == nil || f.set.Parity == nil {
		return absent
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	return min(max(f.lost(0, f.set.Parity.Blocks)-f.set.Parity.Parity, 0), absent)
}

// Begins reports whether the head is there: without it nothing else can be read.
func (f *File) Begins() bool {
	head := f.size
	if f.set != nil {
		head = f.set.Head
	}
	return !f.headless && len(f.Missing(0, min(head, f.size))) == 0
}

// Suspects says which parts, in which files, have a range that turned out to be
// wrong. Of several, only those are named that differ from the list of checksums,
// if it tells; they are read for that.
func (f *File) Suspects(ctx context.Context, from, to int64) (numbers []int, paths []string) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	var all, wrong []*extent
	for _, x := range f.extents {
		if x.from >= max(to, from+1) || x.to <= from || x.part == 0 {
			continue
		}
		all = append(all, x)
		if f.set == nil {
			continue
		}
		listed := f.lists[f.set.PartName(x.part)]
		if sum, err := HashFile(ctx, x.path); err != nil || len(listed) > 0 && !slices.Contains(listed, sum) {
			wrong = append(wrong, x)
		}
	}
	if len(wrong) == 0 {
		wrong = all
	}
	for _, x := range wrong {
		numbers, paths = append(numbers, x.part), append(paths, x.path)
	}
	return numbers, paths
}
