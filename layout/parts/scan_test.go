package parts

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A stage is a folder with a set in it, to be made a mess of.
type stage struct {
	t     *testing.T
	dir   string
	whole []byte
	set   *Set
}

func newStage(t *testing.T, sizes ...int) *stage {
	t.Helper()
	whole, plan, head := made(t, sizes...)
	set, err := Cut(cutting(whole, plan, head, 8000))
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{t, t.TempDir(), whole, set}
	written(t, s.dir, whole, set)
	return s
}

func (s *stage) path(name string) string { return filepath.Join(s.dir, name) }

func (s *stage) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) remove(names ...string) {
	for _, name := range names {
		s.must(os.Remove(s.path(name)))
	}
}

func (s *stage) write(name string, content []byte) {
	s.must(os.WriteFile(s.path(name), content, 0o644))
}

func (s *stage) read(name string) []byte {
	b, err := os.ReadFile(s.path(name))
	s.must(err)
	return b
}

// list writes the checksums of some files as sha256sum does.
func (s *stage) list(name string, files ...string) {
	var b bytes.Buffer
	for _, f := range files {
		sum := sha256.Sum256(s.read(f))
		fmt.Fprintf(&b, "%s  %s\n", hex.EncodeToString(sum[:]), f)
	}
	s.write(name, b.Bytes())
}

// alone removes what describes the set.
func (s *stage) alone() {
	s.remove("x.tar.set.json", "x.tar.head")
	for _, p := range s.set.Parts {
		s.remove(p.Name)
	}
}

// slices cuts the bundle as split(1) does.
func (s *stage) slices(names ...string) {
	each := (len(s.whole) + len(names) - 1) / len(names)
	for i, name := range names {
		s.write(name, s.whole[i*each:min((i+1)*each, len(s.whole))])
	}
}

// What belongs together is found, whatever the files are called and wherever they lie;
// what does not is left alone or named.
func TestDiscovery(t *testing.T) {
	type want struct {
		absent  []int  // parts
		problem string // in one that is told; empty: there is none
		size    int    // of what is read, where that is not the bundle
	}
	for name, tc := range map[string]struct {
		mess func(s *stage) []string // returns the paths to be opened; nil: the folder
		want want
	}{
		"as written": {func(*stage) []string { return nil }, want{}},
		"by a part":  {func(s *stage) []string { return []string{s.path("x.tar.002")} }, want{}},
		"by the head": {func(s *stage) []string {
			return []string{s.path("x.tar.head")}
		}, want{}},
		"in two folders": {func(s *stage) []string {
			other := s.t.TempDir()
			s.must(os.Rename(s.path("x.tar.002"), filepath.Join(other, "x.tar.002")))
			return []string{other, s.dir}
		}, want{}},
		"renamed": {func(s *stage) []string {
			s.must(os.Rename(s.path("x.tar.001"), s.path("zzz")))
			s.must(os.Rename(s.path("x.tar.002"), s.path("copy of 1")))
			return nil
		}, want{}},
		"names exchanged": {func(s *stage) []string {
			s.must(os.Rename(s.path("x.tar.001"), s.path("t")))
			s.must(os.Rename(s.path("x.tar.002"), s.path("x.tar.001")))
			s.must(os.Rename(s.path("t"), s.path("x.tar.002")))
			return nil
		}, want{}},
		"one is missing": {func(s *stage) []string {
			s.remove("x.tar.002")
			return nil
		}, want{absent: []int{2}}},
		"the head alone": {func(s *stage) []string {
			for _, p := range s.set.Parts {
				s.remove(p.Name)
			}
			return nil
		}, want{absent: []int{1, 2, 3}}},
		"one is cut short": {func(s *stage) []string {
			s.must(os.Truncate(s.path("x.tar.002"), 700))
			return nil
		}, want{absent: []int{2}, problem: "700 bytes"}},
		"cut short, and whole elsewhere": {func(s *stage) []string {
			other := s.t.TempDir()
			s.must(os.WriteFile(filepath.Join(other, "x.tar.002"), s.read("x.tar.002")[:700], 0o644))
			return []string{other, s.dir}
		}, want{problem: "700 bytes"}},
		"twice the same": {func(s *stage) []string {
			s.write("copy", s.read("x.tar.002"))
			return nil
		}, want{}},
		"twice, and the list knows": {func(s *stage) []string {
			s.list("x.tar.sha256", "x.tar.002")
			b := s.read("x.tar.002")
			b[len(b)-600] ^= 1
			s.write("copy", b)
			return nil
		}, want{problem: "copy"}},
		"cut by split -b": {func(s *stage) []string {
			s.alone()
			s.slices("x.tar.aa", "x.tar.ab", "x.tar.ac")
			return nil
		}, want{}},
		"cut by split -d": {func(s *stage) []string {
			s.alone()
			s.slices("part00", "part01", "part02", "part03")
			return []string{s.path("part02")}
		}, want{}},
		"cut by split -b, the last one lost": {func(s *stage) []string {
			s.alone()
			s.slices("xaa", "xab", "xac")
			s.remove("xac")
			return nil
		}, want{size: -1}},
		"whole beside parts": {func(s *stage) []string {
			s.write("x.tar", s.whole)
			s.remove("x.tar.002")
			return nil
		}, want{}},
		"among other files": {func(s *stage) []string {
			s.write("readme.txt", []byte("hello"))
			s.write("x.tar.004", []byte("no part"))
			s.write("y.set.json", []byte("{}"))
			return nil
		}, want{problem: "y.set.json"}},
		"two sets, and one is named": {func(s *stage) []string {
			other := newStage(s.t, 100, 7000)
			other.set.Name = "y.tar"
			for i := range other.set.Parts {
				other.set.Parts[i].Name = other.set.PartName(i + 1)
			}
			written(s.t, s.dir, other.whole, other.set)
			return []string{s.path("x.tar.001")}
		}, want{}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, 3000, 5000, 6000)
			paths := tc.mess(s)
			if paths == nil {
				paths = []string{s.dir}
			}
			f, err := Open(t.Context(), paths)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if got := f.Absent(); !slices.Equal(got, tc.want.absent) {
				t.Errorf("absent %v, want %v", got, tc.want.absent)
			}
			if problems := fmt.Sprint(f.Problems()); (problems != "[]") != (tc.want.problem != "") || !strings.Contains(problems, tc.want.problem) {
				t.Errorf("problems %s", problems)
			}
			if tc.want.size < 0 {
				if f.Size() >= int64(len(s.whole)) {
					t.Errorf("%d bytes of %d", f.Size(), len(s.whole))
				}
				return
			}
			if len(tc.want.absent) > 0 {
				return
			}
			if got, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size())); err != nil || !bytes.Equal(got, s.whole) {
				t.Errorf("%d bytes of %d, %v", len(got), len(s.whole), err)
			}
		})
	}
}

// What cannot be decided is an error that names the files.
func TestDiscoveryRefuses(t *testing.T) {
	s := newStage(t, 3000, 5000, 6000)
	b := s.read("x.tar.002")
	b[len(b)-600] ^= 1
	s.write("copy", b)
	var twice *TwiceError
	if _, err := Open(t.Context(), []string{s.dir}); !errors.As(err, &twice) || !strings.Contains(err.Error(), s.path("copy")) || !strings.Contains(err.Error(), s.path("x.tar.002")) {
		t.Errorf("one part twice: %v", err)
	}
	s = newStage(t, 3000, 5000, 6000)
	other := newStage(t, 100, 7000)
	var several *SeveralError
	if _, err := Open(t.Context(), []string{s.dir, other.dir}); !errors.As(err, &several) || len(several.Files) != 2 {
		t.Errorf("two sets: %v", err)
	}
	var none *NoneError
	empty := t.TempDir()
	if _, err := Open(t.Context(), []string{empty}); !errors.As(err, &none) || !strings.Contains(err.Error(), empty) {
		t.Errorf("nothing: %v", err)
	}
}

// A file that was named and has nothing to do with the set beside it is what it is.
func TestStranger(t *testing.T) {
	s := newStage(t, 3000, 5000, 6000)
	s.write("notes", []byte("buy milk"))
	f, err := Open(t.Context(), []string{s.path("notes")})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Set() != nil || f.Size() != 8 {
		t.Errorf("%d bytes, of the set: %v", f.Size(), f.Set() != nil)
	}
}

// A file that is named more than once is one file, by any of its names.
func TestNamedTwice(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "whole")
	if err := os.WriteFile(path, []byte("buy milk"), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := Open(t.Context(), []string{path, filepath.Join(dir, ".", "..", filepath.Base(dir), "whole"), path})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Size() != 8 {
		t.Errorf("%d bytes", f.Size())
	}
}

// A folder full of descriptions and lists takes no more memory than a few of them.
func TestManyDescriptions(t *testing.T) {
	s := newStage(t, 3000, 5000)
	sc := &scan{sets: make(map[string]*Set), where: make(map[string][]*found), lists: make(map[string][]string), kept: maxKept - 10, listed: maxListed - 1}
	sc.readSet(&found{path: s.path("x.tar.set.json")})
	if len(sc.sets) > 0 || len(sc.bad) != 1 {
		t.Errorf("%d kept, %v", len(sc.sets), sc.bad)
	}
	s.list("x.tar.sha256", "x.tar.001", "x.tar.002", "x.tar.head")
	sc.readList(&found{path: s.path("x.tar.sha256")})
	if len(sc.lists) != 1 {
		t.Errorf("%d lines kept", len(sc.lists))
	}
}

// What was on a medium before counts as not lost.
func TestSeenBefore(t *testing.T) {
	s := newStage(t, 3000, 5000, 6000)
	f, err := Open(t.Context(), []string{s.dir})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.RemoveAll(s.path("x.tar.002")); err != nil {
		t.Fatal(err)
	}
	if err := f.Rescan(t.Context()); err != nil {
		t.Fatal(err)
	}
	if absent, unseen := f.Absent(), f.Unseen(); !slices.Equal(absent, []int{2}) || len(unseen) > 0 {
		t.Errorf("absent %v, never seen %v", absent, unseen)
	}
}
