package parts

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"bundle/layout"
)

// maxSums bounds SHA256SUMS, in bytes: 200,000 lines.
const maxSums = 32 << 20

// SumsID is the id of the bundle with this content of SHA256SUMS.
func SumsID(sums []byte) string {
	hash := sha256.Sum256(sums)
	return hex.EncodeToString(hash[:])
}

// SeveralError says that there is more than one bundle, and none was chosen.
type SeveralError struct{ Files []string } // one of each

// Error names one file of each.
func (e *SeveralError) Error() string {
	return "these are of different bundles: " + strings.Join(e.Files, ", ")
}

// NoneError says that there is no bundle.
type NoneError struct {
	Paths []string
	Err   error // what is wrong with what looks like one; nil: nothing does
}

// Error names the paths.
func (e *NoneError) Error() string {
	text := strings.Join(e.Paths, ", ") + ": no bundle, and no part of one"
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns what is wrong with what looks like a bundle.
func (e *NoneError) Unwrap() error { return e.Err }

// TwiceError says that a part is there twice, with different content, and nothing
// tells which is right.
type TwiceError struct {
	Name          string
	First, Second string // paths
}

// Error names both files.
func (e *TwiceError) Error() string {
	return fmt.Sprintf("%s is there twice, with different content: %s and %s", e.Name, e.First, e.Second)
}

// Damaged says that a file is to blame.
func (e *TwiceError) Damaged() bool { return true }

// Open finds the bundle that lies in files and folders: one file, parts of a set,
// whatever they are called, or slices that split(1) made. Where only a part of it
// is there, it can be read as far as it goes, and [File.Absent] says what is not.
//
// One file that nothing describes is taken as it is, whatever is in it. More than
// one bundle is a [*SeveralError], unless a file of just one was named, and none a
// [*NoneError].
func Open(ctx context.Context, paths []string) (*File, error) {
	f := &File{paths: paths}
	return f, f.scan(ctx, "")
}

// OpenSet is Open for the set of an id, whatever else there is.
func OpenSet(ctx context.Context, paths []string, id string) (*File, error) {
	f := &File{paths: paths}
	err := f.scan(ctx, id)
	if err == nil && f.set == nil {
		err = &NoneError{Paths: paths}
	}
	return f, err
}

// Rescan looks again, after media were changed, under the first path and those
// given. What was open is closed.
func (f *File) Rescan(ctx context.Context, more ...string) error {
	if f.set == nil {
		return nil
	}
	if err := f.Release(); err != nil {
		return err
	}
	f.paths = append(f.paths[:1:1], more...)
	return f.scan(ctx, f.set.ID)
}

func (f *File) scan(ctx context.Context, id string) error {
	s, err := look(ctx, f.paths)
	if err != nil {
		return err
	}
	if id == "" {
		if id, err = s.choose(ctx); err != nil {
			return s.plain(f, err)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.extents, f.columns, f.heads, f.repair, f.problems = nil, nil, nil, nil, s.bad
	if f.lists == nil {
		f.lists = s.lists
	}
	if f.set == nil {
		f.set = s.sets[id]
	} else if o := s.sets[id]; o != nil && o.Parity != nil && f.set.Parity == nil && f.set.same(o) {
		f.set = o
	}
	if f.set == nil {
		err = f.undescribed(s, id)
	} else {
		f.small = make(map[string]string)
		if files := s.where[id]; len(files) > 0 {
			f.small[SetSuffix] = files[0].path
		}
		err = f.assign(ctx, s)
	}
	if err == nil {
		f.strange = f.strangers(s, id)
	}
	return err
}

// plain is for the one file that was named and is no part of anything.
func (s *scan) plain(f *File, err error) error {
	var none *NoneError
	if !errors.As(err, &none) {
		return err
	}
	var named []*found
	for _, x := range s.files {
		if x.named {
			named = append(named, x)
		}
	}
	if len(named) != 1 || s.folders { // a file is one, however often it was named
		return err
	}
	f.size = named[0].size
	f.extents = []*extent{{to: f.size, part: 1, path: named[0].path}}
	return nil
}

// choose says which bundle is meant: that of the files named, or else the only one
// there is in the folders named.
func (s *scan) choose(ctx context.Context) (string, error) {
	named, any := make(map[string]string), make(map[string]string)
	note := func(id string, x *found) {
		if any[id] == "" {
			any[id] = x.path
		}
		if x.named && named[id] == "" {
			named[id] = x.path
		}
	}
	looks := make(map[*found]bool) // like a bundle, and is parity
	for id, set := range s.sets {
		for _, x := range s.where[id] {
			note(id, x)
		}
		for _, x := range s.files {
			if err := ctx.Err(); err != nil {
				return "", err
			}
			part, score := set.match(x)
			if score > 0 {
				note(id, x)
			}
			looks[x] = looks[x] || score > 0 && part <= isColumn
		}
	}
	for _, x := range s.files {
		if x.id != "" && !looks[x] && (x.named || x.full || s.sets[x.id] != nil || len(s.slices(x)) > 1) {
			note(x.id, x)
		}
	}
	for _, x := range s.files { // a later slice of split(1)
		if err := ctx.Err(); err != nil {
			return "", err
		}
		for _, first := range s.files {
			if x.named && x.id == "" && first.id != "" && s.sets[first.id] == nil && isSlice(first, x) {
				note(first.id, x)
			}
		}
	}
	choice := named
	if len(named) == 0 && s.folders {
		choice = any
	}
	switch len(choice) {
	case 1:
		for id := range choice {
			return id, nil
		}
	case 0:
		return "", &NoneError{s.paths, errors.Join(s.bad...)}
	}
	return "", &SeveralError{slices.Sorted(maps.Values(choice))}
}

// A claim is a file that says, or looks as if, it were a part.
type claim struct {
	file  *found
	score int
}

// Parts that a file may be: head and columns of parity beside those from 1 on.
const (
	isHead   = 0
	isColumn = -1 // and below: the columns of parity
)

const (
	byName    = 1 // name or size speak for it
	byContent = 2 // what it holds does
)

// match says which part a file seems to be: by what it holds, else by its name.
func (s *Set) match(x *found) (part, score int) {
	name := x.name()
	switch {
	case x.id == s.ID && x.full:
		return 1, byContent // all of it
	case x.id == s.ID && (x.size == s.Head && s.Parts[0].Size != s.Head || name == s.Name+HeadSuffix):
		return isHead, byContent
	case x.id == s.ID:
		return 1, byContent
	case x.id == unread && s.parityAt(name) > 0: // where headers cancel each other out, parity looks like a begin
		return isColumn + 1 - s.parityAt(name), byName
	case x.id != "":
		return 0, 0 // another bundle
	case name == s.Name+HeadSuffix:
		return isHead, byName
	}
	for i, p := range s.Parts {
		if x.size == p.Size && s.probe(x, i) {
			return i + 1, byContent
		}
	}
	for i, p := range s.Parts {
		if name == p.Name {
			return i + 1, byName
		}
	}
	if k := s.parityAt(name); k > 0 {
		return isColumn + 1 - k, byName
	}
	return 0, 0
}

// parityAt says which column of parity a file of this name is, counted from 1; 0: none.
func (s *Set) parityAt(name string) int {
	for k := range s.columnsOfParity() {
		if name == s.ParityName(k+1) {
			return k + 1
		}
	}
	return 0
}

func (s *Set) columnsOfParity() int {
	if s.Parity == nil {
		return 0
	}
	return s.Parity.Parity
}

// probe compares the first header in a part with what it has to be.
func (s *Set) probe(x *found, part int) bool {
	p := s.Parts[part]
	if part == 0 || len(p.Blobs) == 0 {
		return false // the first has the id, and nothing tells of the inside of a blob
	}
	i, _ := slices.BinarySearchFunc(s.entries, p.Offset+layout.BlockSize, func(e layout.Entry, at int64) int { return compare(e.Offset, at) })
	e := s.entries[i]
	want, err := layout.Header(e.Name, e.Size, s.Time())
	if err != nil {
		return false
	}
	f, err := openRegular(x.path)
	if err != nil {
		return false
	}
	defer f.Close()
	got := make([]byte, layout.BlockSize)
	_, err = f.ReadAt(got, e.Offset-layout.BlockSize-p.Offset)
	return err == nil && bytes.Equal(got, want)
}

// assign finds a file for each part.
func (f *File) assign(ctx context.Context, s *scan) error {
	f.size = f.set.Size
	if f.seen == nil {
		f.seen = make(map[int]bool)
	}
	claims := make(map[int][]claim)
	for _, x := range s.files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if part, score := f.set.match(x); score > 0 {
			claims[part] = append(claims[part], claim{x, score})
		}
	}
	for part, all := range claims {
		slices.SortStableFunc(all, func(a, b claim) int {
			return cmp.Or(b.score-a.score, cmp.Compare(b.file.size, a.file.size))
		})
		if part == isHead {
			if err := f.takeHeads(ctx, all); err != nil {
				return err
			}
			continue
		}
		best, err := f.best(ctx, part, all)
		if err != nil {
			return err
		}
		f.take(part, best)
	}
	slices.SortFunc(f.extents, func(a, b *extent) int { return cmp.Or(compare(a.from, b.from), compare(b.to, a.to)) })
	if err := f.protect(s); err != nil {
		return err
	}
	return f.findHead(ctx)
}

// take makes a file an extent, or a column of parity.
func (f *File) take(part int, c claim) {
	x := &extent{part: part, path: c.file.path}
	want := f.set.Head
	switch {
	case part <= isColumn:
		want = f.set.ParitySize()
		if f.columns == nil {
			f.columns = make([]*extent, f.set.Parity.Parity)
		}
		f.columns[isColumn-part] = x
	case part > 0:
		p := f.set.Parts[part-1]
		x.from, want = p.Offset, p.Size
		if c.file.full {
			want = f.size
		}
	}
	if c.file.size >= want {
		f.seen[part] = true
	}
	if c.file.size != want {
		f.problems = append(f.problems, &PartError{c.file.path, fmt.Errorf("%d bytes, and not %d", c.file.size, want)})
	}
	x.to = x.from + min(c.file.size, want)
	if part > isColumn {
		f.extents = append(f.extents, x)
	}
}

// best chooses among files that claim to be one part.
func (f *File) best(ctx context.Context, part int, all []claim) (claim, error) {
	first := all[0]
	for _, c := range all[1:] {
		if first.file.full && !c.file.full && part == 1 && c.file.size == f.set.Parts[0].Size {
			continue // the first part, beside the whole bundle
		}
		if c.file.size != first.file.size { // it was cut short
			f.problems = append(f.problems, &PartError{c.file.path, fmt.Errorf("%d bytes; %s is the same part, and has %d", c.file.size, first.file.path, first.file.size)})
			continue
		}
		if c.score < first.score {
			f.problems = append(f.problems, &PartError{c.file.path, errors.New("not what its name says: another file is that part")})
			continue
		}
		sums, err := hashBoth(ctx, first.file, c.file)
		if err != nil {
			return claim{}, err
		}
		if sums[0] == sums[1] {
			continue
		}
		name := first.file.name()
		if part > 0 {
			name = f.set.Parts[part-1].Name
		}
		listed := f.lists[name]
		switch twice := (&TwiceError{name, first.file.path, c.file.path}); {
		case slices.Contains(listed, sums[0]):
			f.problems = append(f.problems, fmt.Errorf("%w; the list of checksums speaks for the first", twice))
		case slices.Contains(listed, sums[1]):
			f.problems = append(f.problems, fmt.Errorf("%w; the list of checksums speaks for the second", twice))
			first = c
		default:
			return claim{}, twice
		}
	}
	return first, nil
}

// hashBoth reads two files that should be the same.
func hashBoth(ctx context.Context, files ...*found) (sums []string, err error) {
	for _, x := range files {
		sum, err := HashFile(ctx, x.path)
		if err != nil {
			return nil, err
		}
		sums = append(sums, sum)
	}
	return sums, nil
}

// HashFile returns the SHA-256 of a file, in hex.
func HashFile(ctx context.Context, path string) (string, error) {
	f, err := openRegular(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h, buf := sha256.New(), make([]byte, 256<<10)
	for ctx.Err() == nil {
		n, err := f.Read(buf)
		h.Write(buf[:n])
		if err == io.EOF {
			return hex.EncodeToString(h.Sum(nil)), nil
		}
		if err != nil {
			return "", &PartError{path, err}
		}
	}
	return "", ctx.Err()
}

// slices are the files that split(1) would have made beginning with first.
func (s *scan) slices(first *found) []*found {
	var all []*found
	for _, x := range s.files {
		if x == first || isSlice(first, x) {
			all = append(all, x)
		}
	}
	slices.SortStableFunc(all, func(a, b *found) int { return cmp.Compare(a.name(), b.name()) })
	return all
}

// isSlice reports whether split(1) would have made x beginning with first.
func isSlice(first, x *found) bool {
	return !first.full && first.id != "" && x.id == "" && follows(first.name(), x.name())
}

// undescribed is a bundle in one file or in slices, without a set.json.
func (f *File) undescribed(s *scan, id string) error {
	var first *found
	for _, x := range s.files {
		if x.id == id && (first == nil || x.full && !first.full || x.named && !first.named && x.full == first.full) {
			first = x
		}
	}
	if first == nil {
		return &NoneError{f.paths, errors.Join(s.bad...)}
	}
	for _, x := range s.slices(first) {
		f.extents = append(f.extents, &extent{from: f.size, to: f.size + x.size, part: len(f.extents) + 1, path: x.path})
		f.size += x.size
	}
	return nil
}
