package parts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"bundle/layout"
)

// Limits on what is looked at in a folder: whoever made the medium may have filled
// it.
const (
	maxFiles   = 10_000
	maxSets    = 256
	maxListing = 1 << 20        // of a list of checksums, in bytes
	maxListed  = 100_000        // lines of all of them
	maxOfName  = 100            // of those, for one file
	maxKept    = 2 * MaxSetSize // bytes of the set.json that differ
)

// A found is a regular file that may hold something of a bundle.
type found struct {
	path  string
	size  int64
	info  fs.FileInfo
	named bool // by the caller, not found in a folder

	id   string // of the bundle that begins in it; empty: none does
	full bool   // and ends in it
}

func (x *found) name() string { return filepath.Base(x.path) }

// A scan collects what lies under some paths.
type scan struct {
	paths []string
	files []*found
	known map[string]bool     // paths of files, and others that are one of them
	sets  map[string]*Set     // by id
	where map[string][]*found // set.json files, by id
	lists map[string][]string // SHA-256 of files, by name
	bad   []error

	folders bool // some of paths are: then what was found in them may be meant

	kept   int // bytes of the descriptions in sets
	listed int // sums in lists
}

// NotFileError says that a path is neither a file nor a folder.
type NotFileError struct{ Path string }

// Error names the path.
func (e *NotFileError) Error() string { return e.Path + " is not a regular file" }

// look gathers the files under paths. Beside a file that was named, those are
// looked at that may belong to it.
func look(ctx context.Context, paths []string) (*scan, error) {
	s := &scan{paths: paths, known: make(map[string]bool), sets: make(map[string]*Set), where: make(map[string][]*found), lists: make(map[string][]string)}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		switch {
		case info.IsDir():
			s.folders = true
			err = s.folder(ctx, path, func(string) bool { return true })
		case !info.Mode().IsRegular():
			err = &NotFileError{path}
		default:
			s.add(path, info, true)
		}
		if err != nil {
			return nil, err
		}
	}
	wanted := make(map[string][]func(string) bool) // by folder
	for _, x := range s.files {
		if x.named {
			dir := filepath.Dir(x.path)
			wanted[dir] = append(wanted[dir], beside(x.name()))
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(wanted)) {
		want := func(name string) bool {
			return slices.ContainsFunc(wanted[dir], func(want func(string) bool) bool { return want(name) })
		}
		if err := s.folder(ctx, dir, want); err != nil {
			return nil, err
		}
	}
	if len(s.files) == 1 && s.files[0].named {
		return s, nil // whatever it is, nothing else belongs to it
	}
	for _, x := range s.files {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		s.read(x)
	}
	for _, id := range slices.Sorted(maps.Keys(s.sets)) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		s.reconcile(id)
	}
	return s, nil
}

// reconcile finds the damage that changes an id: one flipped bit in SHA256SUMS, or in
// set.json, makes a file speak of a bundle that nothing else knows. Where the files
// around it speak for the set, it is of the set.
func (s *scan) reconcile(id string) {
	set := s.sets[id]
	var strange []*found
	other := ""
	for _, x := range s.files {
		switch {
		case x.id == id:
			other = id
		case x.id != "" && s.sets[x.id] == nil && s.besideSet(x, id) && set.named(x):
			strange = append(strange, x)
		}
	}
	switch {
	case len(strange) == 0:
	case other == id || slices.ContainsFunc(strange, func(x *found) bool { return x.id != strange[0].id }):
		for _, x := range strange {
			x.id, x.full = "", false
			if x.name() == set.Name+HeadSuffix { // no reading of parts comes across it
				s.bad = append(s.bad, &PartError{x.path, errors.New("its SHA256SUMS is not that of the parts")})
			}
		}
	case len(strange) > 1: // and all of them agree
		for _, x := range s.where[id] {
			s.bad = append(s.bad, &PartError{x.path, errors.New("another id than its parts have")})
		}
		set.ID = strange[0].id
		s.sets[set.ID], s.where[set.ID] = set, s.where[id]
		delete(s.sets, id)
		delete(s.where, id)
	}
}

// besideSet reports whether a set.json of this id lies in the folder of a file.
func (s *scan) besideSet(x *found, id string) bool {
	return slices.ContainsFunc(s.where[id], func(w *found) bool { return filepath.Dir(w.path) == filepath.Dir(x.path) })
}

// named reports whether a file in which a bundle begins has a name of the set, and is
// no other bundle that came to stand in its place.
func (s *Set) named(x *found) bool {
	switch name := x.name(); {
	case name == s.Name+HeadSuffix:
		return true
	case name != s.Parts[0].Name:
		return false
	case s.Whole():
		return x.size == s.Size && s.begins(x)
	}
	return !x.full
}

// begins reports whether a file begins as the bundle does: at the same second.
func (s *Set) begins(x *found) bool {
	f, err := openRegular(x.path)
	if err != nil {
		return false
	}
	defer f.Close()
	got := make([]byte, layout.BlockSize)
	if _, err := f.ReadAt(got, 0); err != nil {
		return false
	}
	size, err := strconv.ParseInt(strings.Trim(string(got[124:136]), " \x00"), 8, 64)
	if err != nil {
		return false
	}
	want, err := layout.Header(layout.LayoutFile, size, s.Time())
	return err == nil && bytes.Equal(got, want)
}

// ends are what the names of all files of a set end with, behind that of the
// bundle.
var ends = regexp.MustCompile(`\.(head|set\.json|sha256|blocks|p[0-9]{2,3}|[0-9]{3})$`)

// Stem is the name of the bundle that a file of this name belongs to.
func Stem(name string) string { return ends.ReplaceAllString(name, "") }

// tail matches what split(1) counts with.
var tail = regexp.MustCompile(`(a+|[0-9]+)$`)

// follows reports whether split(1) may have made a file after another, which is the
// first: their names differ in letters or digits at the end alone.
func follows(first, name string) bool {
	if len(name) != len(first) || name <= first {
		return false
	}
	count := tail.FindString(first)
	if len(count) < 2 {
		return false
	}
	prefix := strings.TrimSuffix(first, count)
	set := "0123456789"
	if count[0] == 'a' {
		set = "abcdefghijklmnopqrstuvwxyz"
	}
	return strings.HasPrefix(name, prefix) && strings.Trim(name[len(prefix):], set) == ""
}

// beside tells which files of a folder may belong to a file of this name.
func beside(name string) func(string) bool {
	prefix := Stem(name) + "."
	return func(other string) bool {
		switch {
		case strings.HasSuffix(other, SetSuffix), strings.HasSuffix(other, ListSuffix), strings.HasPrefix(other, prefix):
			return true
		}
		return len(other) == len(name) && (other[:len(other)-1] == name[:len(name)-1] || follows(name, other) || follows(other, name))
	}
}

// folder adds the regular files of a folder; links in it are not followed.
func (s *scan) folder(ctx context.Context, path string, want func(string) bool) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	for seen := 0; seen < maxFiles; {
		if err := ctx.Err(); err != nil {
			return err
		}
		list, err := dir.ReadDir(1000)
		for _, e := range list {
			seen++
			name := filepath.Join(path, e.Name())
			if !e.Type().IsRegular() || s.known[name] || !want(e.Name()) {
				continue
			}
			// What Windows lists of a folder has no file id on some file systems.
			if info, err := os.Lstat(name); err == nil && info.Mode().IsRegular() {
				s.add(name, info, false)
			}
		}
		if errors.Is(err, io.EOF) {
			slices.SortFunc(s.files, func(a, b *found) int { return strings.Compare(a.path, b.path) })
			return nil
		}
		if err != nil {
			return err
		}
	}
	return fmt.Errorf("%s: more than %d files: name those of the bundle", path, maxFiles)
}

func (s *scan) add(path string, info fs.FileInfo, named bool) {
	s.known[filepath.Clean(path)] = true
	for _, x := range s.files {
		if x.size == info.Size() && os.SameFile(x.info, info) {
			x.named = x.named || named
			return
		}
	}
	s.files = append(s.files, &found{path: path, size: info.Size(), info: info, named: named})
}

// read finds out what a file is. What cannot be read is nothing yet; it may still
// be known by its name.
func (s *scan) read(x *found) {
	switch name := x.name(); {
	case strings.HasSuffix(name, SetSuffix):
		s.readSet(x)
	case strings.HasSuffix(name, ListSuffix):
		s.readList(x)
	case strings.HasSuffix(name, BlocksSuffix):
	default:
		x.id, x.full = identify(x.path, x.size)
	}
}

func (s *scan) readSet(x *found) {
	data, err := ReadFile(x.path, MaxSetSize)
	if err != nil {
		s.bad = append(s.bad, &PartError{x.path, err})
		return
	}
	set, err := ParseSet(data)
	if err != nil {
		s.bad = append(s.bad, &PartError{x.path, err})
		return
	}
	s.where[set.ID] = append(s.where[set.ID], x)
	switch old := s.sets[set.ID]; {
	case old == nil && len(s.sets) < maxSets && s.kept+len(data) <= maxKept:
		s.sets[set.ID] = set
		s.kept += len(data)
	case old == nil:
		s.bad = append(s.bad, &PartError{x.path, errors.New("too many sets are here: name a file of the one that is meant")})
	case !old.same(set):
		s.bad = append(s.bad, fmt.Errorf("%s and %s say different things of one bundle; the first is followed", s.where[set.ID][0].path, x.path))
	case old.Parity == nil:
		s.sets[set.ID] = set // it was protected later
	}
}

// same reports whether two descriptions of one bundle are one, but for parity.
func (s *Set) same(o *Set) bool {
	return s.Name == o.Name && s.Size == o.Size && s.Created == o.Created && s.Head == o.Head &&
		slices.EqualFunc(s.Parts, o.Parts, func(a, b Part) bool {
			return a.Name == b.Name && a.Offset == b.Offset && a.Size == b.Size && slices.Equal(a.Blobs, b.Blobs)
		}) && (s.Parity == nil || o.Parity == nil || *s.Parity == *o.Parity)
}

// readList reads what sha256sum reads.
func (s *scan) readList(x *found) {
	data, err := ReadFile(x.path, maxListing)
	if err != nil {
		return
	}
	for line := range strings.Lines(string(data)) {
		hash, name, ok := strings.Cut(strings.TrimRight(line, "\r\n"), "  ")
		if ok && len(hash) == 64 && s.listed < maxListed && len(s.lists[name]) < maxOfName && !slices.Contains(s.lists[name], hash) {
			s.lists[name] = append(s.lists[name], hash)
			s.listed++
		}
	}
}

// ReadFile reads a regular file of at most so many bytes.
func ReadFile(path string, most int64) ([]byte, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("more than %d bytes", most)
	}
	return data, err
}

// identify reads which bundle begins in a file, and whether it ends there too.
func identify(path string, size int64) (id string, full bool) {
	f, err := openRegular(path)
	if err != nil {
		return "", false
	}
	defer f.Close()
	return Identify(f, size)
}

// unread is the id of what begins like a bundle and cannot be read any further.
const unread = "?"

// Identify returns the id of the bundle that begins in r, and reports whether all
// of it is there; an empty id where none does. Where the begin ends within
// SHA256SUMS, the id stands for no more than that.
func Identify(r io.ReaderAt, size int64) (id string, full bool) {
	var begin [16]byte
	if _, err := r.ReadAt(begin[:], 0); err != nil || !strings.HasPrefix(string(begin[:]), layout.LayoutFile+"\x00") {
		return "", false
	}
	sums, err := layout.PeekSums(r, maxSums)
	if err != nil {
		return unread, false
	}
	_, err = layout.NewReader(r, size)
	return SumsID(sums), err == nil
}
