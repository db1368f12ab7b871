package media_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/media"
	"bundle/layout"
	"bundle/layout/parts"
	"bundle/testdata/regtest"
)

// Whatever number of folders, parts joined are the bundle; each medium has head,
// set.json and a list beside its parts; the same run again keeps all of it.
func TestWrite(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		folders, parity int
		noReadBack      bool
	}{
		"one folder":       {folders: 1},
		"as many as parts": {folders: 3},
		"more than parts":  {folders: 4},
		"with parity":      {folders: 2, parity: 2},
		"not read back":    {folders: 2, parity: 1, noReadBack: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := threeParts(t, tc.parity)
			var folders []string
			for range tc.folders {
				folders = append(folders, t.TempDir())
			}
			for _, kept := range []bool{false, true} {
				m := s.media(folders...)
				m.NoReadBack = tc.noReadBack
				all := s.mustWrite(t, m)
				s.wantWhole(t, all)
				if len(all) != 3+tc.parity || m.Count() != len(all) || m.HeadPath() != filepath.Join(folders[0], "x.tar.head") || m.Removed() != nil {
					t.Errorf("%d parts of %d, head in %s, %v removed", len(all), m.Count(), m.HeadPath(), m.Removed())
				}
				for i, w := range all {
					if w.Kept != (kept && i < 3) || w.FromCache != tc.noReadBack {
						t.Errorf("%+v", w)
					}
					dir := filepath.Dir(w.Path)
					if got := regtest.ReadFile(t, dir, "x.tar.head"); got != string(s.whole[:s.set.Head]) {
						t.Errorf("the head has %d bytes", len(got))
					}
					if list := regtest.ReadFile(t, dir, "x.tar.sha256"); !strings.Contains(list, w.SHA256+"  "+filepath.Base(w.Path)+"\n") {
						t.Errorf("%s is not in the list:\n%s", w.Path, list)
					}
					if !media.Names(dir, "x.tar", filepath.Base(w.Path)) || media.Names(dir, "x.tar", "y") || media.Names(dir, "y.tar", "x.tar.001") {
						t.Errorf("set.json in %s names other files", dir)
					}
				}
			}
			for _, dir := range folders {
				for _, name := range regtest.Files(t, dir) {
					if strings.HasSuffix(name, ".partial") || strings.HasPrefix(name, ".") {
						t.Errorf("%s is left", name)
					}
				}
			}
		})
	}
}

// A part that is wrong, whatever it has in common with the right one, is written again,
// and nothing else is.
func TestWriteAgain(t *testing.T) {
	t.Parallel()
	s := threeParts(t, 0)
	right := string(s.whole[s.set.Parts[2].Offset:])
	for name, there := range map[string]string{
		"gone": "", "shorter": right[:1000], "longer": right + "x",
		"header": "x" + right[1:], "piece": strings.Replace(right, right[600:603], "xyz", 1), "end": right[:len(right)-1] + "x",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s.mustWrite(t, s.media(dir))
			path := filepath.Join(dir, "x.tar.003")
			must(t, os.Remove(path))
			if there != "" {
				writeFile(t, there, path)
			}
			all := s.mustWrite(t, s.media(dir))
			s.wantWhole(t, all)
			for _, w := range all {
				if w.Kept == (w.Part == 3) {
					t.Errorf("%+v", w)
				}
			}
		})
	}
}

// failing is a media.Fill that fails for one part.
func (s source) failing(k int, err error) media.Fill {
	return func(ctx context.Context, part int, path string) (func() error, error) {
		if part == k {
			return nil, err
		}
		return s.fill(ctx, part, path)
	}
}

// What a medium does costs its own part; any other error ends the work.
func TestWriteFails(t *testing.T) {
	t.Parallel()
	s := threeParts(t, 0)
	gone := errors.New("the registry is gone")
	for name, tc := range map[string]struct {
		err    error
		medium bool
	}{
		"full":             {&fs.PathError{Op: "write", Path: "p", Err: syscall.ENOSPC}, true},
		"read only":        {fmt.Errorf("create: %w", syscall.EROFS), true},
		"something else":   {gone, false},
		"the end was told": {context.Canceled, false},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := t.TempDir(), t.TempDir()
			all, err := s.write(context.Background(), s.media(a, b), s.failing(2, tc.err))
			var bad *media.MediumError
			if !errors.Is(err, tc.err) || errors.As(err, &bad) != tc.medium {
				t.Fatalf("%v", err)
			}
			if !tc.medium {
				return
			}
			if bad.Part != 2 || bad.Path != filepath.Join(b, "x.tar.002") || !strings.HasPrefix(err.Error(), "part 2: ") ||
				!strings.Contains(fault.Hint(err), "the same command goes on") {
				t.Errorf("%v, hint %s", err, fault.Hint(err))
			}
			if len(all) != 2 || all[0].Part != 1 || all[1].Part != 3 {
				t.Errorf("written were %+v", all)
			}
			s.wantWhole(t, s.mustWrite(t, s.media(a, b)))
		})
	}
}

// Commit is called once for each part that was filled, also where the next one fails,
// and the part behind it is filled meanwhile.
func TestCommitOnce(t *testing.T) {
	t.Parallel()
	s := threeParts(t, 0)
	var mu sync.Mutex
	commits := make(map[int]int)
	next := make(chan struct{})
	_, err := s.write(context.Background(), s.media(t.TempDir()), func(ctx context.Context, k int, path string) (func() error, error) {
		if k == 3 {
			close(next)
			return nil, errors.New("no more")
		}
		commit, err := s.fill(ctx, k, path)
		return func() error {
			if k == 2 {
				<-next
			}
			mu.Lock()
			commits[k]++
			mu.Unlock()
			return commit()
		}, err
	})
	if err == nil || err.Error() != "no more" || commits[1] != 1 || commits[2] != 1 {
		t.Errorf("%v, %v", commits, err)
	}
}

// Work ends with the context, and what was written stays.
func TestWriteEnds(t *testing.T) {
	t.Parallel()
	s := threeParts(t, 0)
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	_, err := s.write(ctx, s.media(dir), func(ctx context.Context, k int, path string) (func() error, error) {
		if k == 2 {
			cancel()
		}
		return s.fill(ctx, k, path)
	})
	var bad *media.MediumError
	if !errors.Is(err, context.Canceled) || errors.As(err, &bad) {
		t.Errorf("error is %v", err)
	}
	s.wantWhole(t, s.mustWrite(t, s.media(dir)))
}

// A piece of a blob that is cut was wrong: every part with one is written again, those
// on other media and the parity over them too.
func TestPieceIsWrong(t *testing.T) {
	t.Parallel()
	s := threeParts(t, 1)
	undisturbed := t.TempDir()
	s.mustWrite(t, s.media(undisturbed))
	flipped := source{slices.Clone(s.whole), s.set, s.plan}
	flipped.whole[s.set.Parts[2].Offset-100] ^= 1
	drive, state := t.TempDir(), t.TempDir()
	part := func(k int, from source) ([]media.Written, error) {
		m := s.media(drive)
		m.Only, m.State = []int{k}, state
		return s.write(context.Background(), m, from.fill)
	}
	var on [5]string
	for k := 1; k <= 2; k++ {
		_, err := part(k, flipped)
		must(t, err)
		on[k] = emptied(t, drive)
	}
	_, err := part(3, s)
	var wrong *parts.WrongError
	if !errors.As(err, &wrong) || wrong.First != 2 || wrong.Part != 3 || strings.Count(err.Error(), "part") != 1 {
		t.Fatalf("error is %v", err)
	}
	regtest.WantFiles(t, state, "x.tar.head", "x.tar.set.json", "x.tar.sha256", "x.tar.state")
	emptied(t, drive)
	for k := 1; k <= 4; k++ {
		if on[k] != "" {
			must(t, os.CopyFS(drive, os.DirFS(on[k])))
		}
		all, err := part(k, s)
		must(t, err)
		if len(all) != 1 || all[0].Kept != (k == 1) {
			t.Errorf("part %d: %+v", k, all)
		}
		name := filepath.Base(all[0].Path)
		if regtest.ReadFile(t, drive, name) != regtest.ReadFile(t, undisturbed, name) {
			t.Errorf("%s differs", name)
		}
		emptied(t, drive)
	}
}

// beside notes which folders get further files.
type beside struct {
	mu   sync.Mutex
	dirs []string
}

func (*beside) Size() int64                { return 1000 }
func (*beside) Need(string) (int64, error) { return 1000, nil }
func (b *beside) Write(_ context.Context, dir string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dirs = append(b.dirs, dir)
	return nil
}

// Further files go to each medium that gets a part, or parity, and to no other.
func TestBeside(t *testing.T) {
	t.Parallel()
	s := threeParts(t, 1)
	var b beside
	folders := []string{t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()}
	m := s.media(folders...)
	m.Beside = &b
	s.mustWrite(t, m)
	slices.Sort(b.dirs)
	if want := slices.Sorted(slices.Values(folders[:4])); !slices.Equal(b.dirs, want) {
		t.Errorf("%v, want %v", b.dirs, want)
	}
}

// Before the first byte, what stands in the way is refused, or removed where that was
// asked for.
func TestPrepare(t *testing.T) {
	t.Parallel()
	s := threeParts(t, 0)
	other := newSource(t, 2, 16_000, 0, 11_000, 20_000)
	smaller := newSource(t, 1, 24_000, 0, 11_000, 20_000)
	written := func(t *testing.T, from source, dir string) { from.mustWrite(t, from.media(dir)) }
	for name, tc := range map[string]struct {
		there   func(t *testing.T, dir string)
		force   bool
		source  string // a file beside the folder that is read meanwhile
		refused string // empty: it is not
		removed int
	}{
		"nothing":          {there: func(*testing.T, string) {}},
		"an empty file":    {there: func(t *testing.T, dir string) { writeFile(t, "", dir, "x.tar.002") }},
		"a file of nobody": {there: func(t *testing.T, dir string) { writeFile(t, "mine", dir, "x.tar.002") }, refused: "x.tar.002 is there already"},
		"though forced":    {there: func(t *testing.T, dir string) { writeFile(t, "mine", dir, "x.tar.002") }, force: true, refused: "x.tar.002 is there already"},
		"no set.json":      {there: func(t *testing.T, dir string) { writeFile(t, "{}", dir, "x.tar.set.json") }, refused: "x.tar.set.json is there already"},
		"a pipe":           {there: func(t *testing.T, dir string) { regtest.Fifo(t, filepath.Join(dir, "x.tar.set.json")) }, refused: "x.tar.set.json is there already"},
		"a pipe of state":  {there: func(t *testing.T, dir string) { regtest.Fifo(t, filepath.Join(dir, "x.tar.state")) }},
		"another bundle":   {there: func(t *testing.T, dir string) { written(t, other, dir) }, refused: "parts of another bundle"},
		"forced": {there: func(t *testing.T, dir string) { written(t, other, dir) }, force: true,
			removed: len(other.set.Parts) + 3},
		"other sizes": {there: func(t *testing.T, dir string) { written(t, smaller, dir) }, refused: "parts of another bundle, or of other sizes"},
		"what is read": {there: func(t *testing.T, dir string) {
			written(t, other, dir)
			must(t, os.Link(filepath.Join(dir, "x.tar.001"), filepath.Join(filepath.Dir(dir), "source")))
		}, force: true, source: "source", refused: "the parts that are read lie there"},
		"the same": {there: func(t *testing.T, dir string) { written(t, s, dir) }},
		"a half written file": {there: func(t *testing.T, dir string) {
			writeFile(t, "x", dir, ".x.tar.head."+strings.Repeat("A", 26))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "d")
			must(t, os.Mkdir(dir, 0o755))
			tc.there(t, dir)
			before := regtest.Files(t, dir)
			m := s.media(dir)
			m.Force, m.Sources = tc.force, []string{filepath.Join(filepath.Dir(dir), tc.source)}
			all, err := s.write(context.Background(), m, s.fill)
			if tc.refused != "" {
				var usage *fault.UsageError
				if !errors.As(err, &usage) || !strings.Contains(err.Error(), tc.refused) || !slices.Equal(before, regtest.Files(t, dir)) {
					t.Errorf("error is %v; there are %v", err, regtest.Files(t, dir))
				}
				return
			}
			must(t, err)
			s.wantWhole(t, all)
			if len(m.Removed()) != tc.removed {
				t.Errorf("removed: %v", m.Removed())
			}
		})
	}
}

// What another run is writing is not taken away, though forced: neither of two exports
// into one folder loses what it has.
func TestPrepareInUse(t *testing.T) {
	t.Parallel()
	s, other := threeParts(t, 0), newSource(t, 2, 16_000, 0, 11_000, 20_000)
	dir := t.TempDir()
	other.mustWrite(t, other.media(dir))
	w, err := layout.Create(filepath.Join(dir, "x.tar.001"), s.plan)
	must(t, err)
	defer w.Close()
	before := regtest.Files(t, dir)
	m := s.media(dir)
	m.Force = true
	if _, err := s.write(context.Background(), m, s.fill); !errors.Is(err, layout.ErrInUse) || !strings.Contains(err.Error(), "x.tar.001.partial") {
		t.Errorf("error is %v", err)
	}
	if after := regtest.Files(t, dir); !slices.Equal(before, after) {
		t.Errorf("there are %v, there were %v", after, before)
	}
}

// Where what is replaced is kept, no link leads elsewhere.
func TestReplacedIsNoLink(t *testing.T) {
	t.Parallel()
	s, other := threeParts(t, 0), newSource(t, 2, 16_000, 0, 11_000, 20_000)
	dir, elsewhere := t.TempDir(), t.TempDir()
	other.mustWrite(t, other.media(dir))
	must(t, os.Symlink(elsewhere, filepath.Join(dir, "x.tar.replaced")))
	before := regtest.Files(t, dir)
	m := s.media(dir)
	m.Force = true
	var usage *fault.UsageError
	if _, err := s.write(context.Background(), m, s.fill); !errors.As(err, &usage) {
		t.Errorf("error is %v", err)
	}
	if after := regtest.Files(t, dir); !slices.Equal(before, after) || len(regtest.Files(t, elsewhere)) > 0 {
		t.Errorf("there are %v, there were %v", after, before)
	}
}

// What is wrong is told with the part once, and what to do about it.
func TestErrors(t *testing.T) {
	for _, tc := range []struct {
		err        error
		text, hint string
	}{
		{&media.MediumError{Part: 2, Path: "p", Err: syscall.EIO}, "part 2: input/output error", "the same command goes on"},
		{&media.MediumError{Part: 3, Path: "p", Err: &parts.WrongError{Part: 3, First: 2, Entry: "e", What: "w"}}, "parts 2 to 3: e, which is cut: w", "writes it again"},
		{&media.SameError{Folder: "/m", Name: "x.001"}, "/m: the medium with x.001 is still there", ""},
		{&media.DiffersError{Path: "p", What: "read back with other content"}, "p: read back with other content", ""},
	} {
		if tc.err.Error() != tc.text || !strings.Contains(fault.Hint(tc.err), tc.hint) {
			t.Errorf("%q, hint %q, want %q", tc.err, fault.Hint(tc.err), tc.text)
		}
	}
	if kind := fault.KindOf(&media.DiffersError{}); kind != fault.Damaged {
		t.Errorf("kind %v", kind)
	}
}
