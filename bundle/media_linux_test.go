package bundle

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/progress"
	"bundle/bundle/internal/trust"
	"bundle/bundle/reports"
	"bundle/layout"
	"bundle/testdata/medium"
	"bundle/testdata/regtest"
)

// mounted mounts a medium that can be told to fail. store is what is on it.
func mounted(t *testing.T, store string) (dir string, m *medium.Medium) {
	t.Helper()
	dir = t.TempDir()
	m, err := medium.Mount(medium.Options{Path: dir, Store: store})
	if err != nil {
		t.Skipf("no file system can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return dir, m
}

// onTmpfs mounts a small file system in memory.
func onTmpfs(t *testing.T, options string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("cannot mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// wantMedium requires that one part alone was not written, that it is named with its
// file, and that the same command without the fault ends with the bundle.
func wantMedium(t *testing.T, eo ExportOptions, whole, bad string, mend func()) {
	t.Helper()
	_, err := Export(context.Background(), eo)
	if err == nil || !strings.Contains(err.Error(), "part 2") || !strings.Contains(err.Error(), bad) {
		t.Fatalf("error is %v, want part 2 in %s", err, bad)
	}
	for i, k := range []int{1, 3} {
		folder := eo.Set.Folders[2*i]
		if _, err := os.Stat(filepath.Join(folder, fmt.Sprintf("app.bundle.tar.%03d", k))); err != nil {
			t.Errorf("part %d, which has a medium of its own: %v", k, err)
		}
	}
	if _, err := os.Stat(filepath.Join(bad, "app.bundle.tar.002")); err == nil {
		t.Error("the part that failed has its name")
	}
	mend()
	r := mustExport(t, eo)
	if joined(t, r.Parts) != regtest.ReadFile(t, whole) {
		t.Error("the parts joined are not the bundle")
	}
}

// A medium that is full, that fails, that takes no writing or that is pulled out ends
// its own part and no other; the same command goes on with that.
func TestMediumFails(t *testing.T) {
	_, whole, eo, _, _ := inParts(t, SetOptions{Folders: []string{t.TempDir()}})
	written := func(c medium.Call, op medium.Op) bool {
		return c.Op == op && strings.HasPrefix(c.Name, "app.bundle.tar.002")
	}
	for name, tc := range map[string]struct {
		fail func() func(medium.Call) syscall.Errno
	}{
		"full": {func() func(medium.Call) syscall.Errno {
			return func(c medium.Call) syscall.Errno {
				if written(c, medium.Write) {
					return syscall.ENOSPC
				}
				return 0
			}
		}},
		"bad sector": {func() func(medium.Call) syscall.Errno {
			return func(c medium.Call) syscall.Errno {
				if written(c, medium.Write) && c.Offset+c.Size > 50_000 {
					return syscall.EIO
				}
				return 0
			}
		}},
		"not flushed": {func() func(medium.Call) syscall.Errno {
			return func(c medium.Call) syscall.Errno {
				if written(c, medium.Sync) {
					return syscall.EIO
				}
				return 0
			}
		}},
		"not read back": {func() func(medium.Call) syscall.Errno {
			return func(c medium.Call) syscall.Errno {
				if written(c, medium.Read) && !strings.HasSuffix(c.Name, ".partial") {
					return syscall.EIO
				}
				return 0
			}
		}},
		"read only": {func() func(medium.Call) syscall.Errno {
			return func(c medium.Call) syscall.Errno {
				if c.Op == medium.Create {
					return syscall.EROFS
				}
				return 0
			}
		}},
		"pulled out": {func() func(medium.Call) syscall.Errno {
			var out atomic.Bool
			return func(c medium.Call) syscall.Errno {
				if written(c, medium.Write) && c.Offset > 0 {
					out.Store(true)
				}
				if out.Load() {
					return syscall.EIO
				}
				return 0
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dir, m := mounted(t, t.TempDir())
			m.Fail(tc.fail())
			o := eo
			set := *eo.Set
			set.Folders = []string{t.TempDir(), dir, t.TempDir(), t.TempDir(), t.TempDir()}
			o.Set = &set
			if name == "not read back" {
				// It has its name by then: what was not read is not taken for it.
				_, err := Export(context.Background(), o)
				if err == nil || !strings.Contains(err.Error(), "part 2") {
					t.Fatalf("error is %v", err)
				}
				if list := regtest.ReadFile(t, set.Folders[0], "app.bundle.tar.sha256"); strings.Contains(list, ".002") {
					t.Errorf("it stands in the list: %s", list)
				}
				return
			}
			wantMedium(t, o, whole, dir, func() { m.Fail(func(medium.Call) syscall.Errno { return 0 }) })
		})
	}
}

// Whether there is room is found out before the first byte, on each medium.
func TestMediumTooSmall(t *testing.T) {
	_, _, eo, set, _ := inParts(t, SetOptions{Folders: []string{t.TempDir()}})
	before := set.Count
	small := onTmpfs(t, "size=1m")
	eo.Set.Folders = []string{t.TempDir(), small}
	_, err := Export(context.Background(), eo)
	var space *layout.SpaceError
	if !errors.As(err, &space) || !strings.Contains(err.Error(), small) || before == 0 {
		t.Errorf("error is %v", err)
	}
	for _, dir := range eo.Set.Folders {
		regtest.WantFiles(t, dir)
	}
}

// Where media are changed, parity grows in the folder that stays: whether it has room is
// found out before the first part, too.
func TestStateTooSmall(t *testing.T) {
	_, _, eo, _, _ := inParts(t, SetOptions{Folders: []string{t.TempDir()}})
	eo = again(eo, false, t.TempDir())
	eo.Set.State, eo.Set.Parity, eo.Set.Only = onTmpfs(t, "size=150k"), 1, []int{1}
	_, err := Export(context.Background(), eo)
	var space *layout.SpaceError
	if !errors.As(err, &space) || !strings.Contains(err.Error(), eo.Set.State) || !strings.Contains(fault.Hint(err), "--state") {
		t.Errorf("error is %v, hint %s", err, fault.Hint(err))
	}
	regtest.WantFiles(t, eo.Set.Folders[0])
}

// A medium that nobody can write to is read as any other, and stays as it is.
func TestMediumReadOnly(t *testing.T) {
	dir := t.TempDir()
	_, whole, _, _, tr := inParts(t, SetOptions{Folders: []string{dir}, Parity: 1})
	ro := onTmpfs(t, "size=16m")
	if err := os.CopyFS(ro, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", ro, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(ro, "x"), nil, 0o644); !errors.Is(err, syscall.EROFS) {
		t.Fatalf("it can be written to: %v", err)
	}
	if _, err := Verify(context.Background(), ro, tr, nil); err != nil {
		t.Error(err)
	}
	priv := startRegistry(t)
	o := onto(priv, tr)
	o.OutputDir, o.Scratch = t.TempDir(), filepath.Join(t.TempDir(), "scratch")
	mustImport(t, ro, o)
	sameContent(t, priv, whole, tr)
}

// Media are opened for reading and nothing else: no call of any other kind reaches one
// of them, and files keep their times.
func TestMediaOpenedForReading(t *testing.T) {
	store := t.TempDir()
	_, _, _, set, tr := inParts(t, SetOptions{Folders: []string{store}, Parity: 1})
	if err := os.Remove(set.Parts[2].Path); err != nil {
		t.Fatal(err)
	}
	before := stateOf(t, store)
	dir, m := mounted(t, store)
	var wrote atomic.Int32
	m.Fail(func(c medium.Call) syscall.Errno {
		if c.Op == medium.Write || c.Op == medium.Create || c.Op == medium.Sync {
			wrote.Add(1)
		}
		return 0
	})
	if _, err := Verify(context.Background(), dir, tr, nil); err != nil {
		t.Error(err)
	}
	if _, err := Repair(context.Background(), dir, RepairOptions{Folder: t.TempDir()}, nil); err != nil {
		t.Error(err)
	}
	o := onto(startRegistry(t), tr)
	o.OutputDir, o.Scratch = t.TempDir(), filepath.Join(t.TempDir(), "scratch")
	mustImport(t, dir, o)
	if wrote.Load() > 0 || !slices.Equal(before, stateOf(t, store)) {
		t.Errorf("%d writes reached the medium", wrote.Load())
	}
}

// stateOf lists the files of a folder with their times, modes and content.
func stateOf(t *testing.T, dir string) (all []string) {
	t.Helper()
	for _, name := range regtest.Files(t, dir) {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprint(name, info.ModTime(), info.Mode(), regtest.ReadFile(t, dir, name)))
	}
	return all
}

// A sector that cannot be read, or a medium that is pulled out while it is read, costs
// its own part: that is named with its images, and the others go on.
func TestMediumUnreadable(t *testing.T) {
	dir := t.TempDir()
	_, whole, _, set, tr := inParts(t, SetOptions{Folders: []string{dir}})
	for name, first := range map[string]int64{"sector": 30_000, "pulled out": 0} {
		t.Run(name, func(t *testing.T) {
			var media []string
			store := mediumEach(t, set)
			bad, m := mounted(t, store[1])
			media = append(media, store[0], bad)
			media = append(media, store[2:]...)
			m.Fail(func(c medium.Call) syscall.Errno {
				if c.Op == medium.Read && c.Name == "app.bundle.tar.002" && c.Offset+c.Size > first {
					if name == "pulled out" {
						m.Pull()
					}
					return syscall.EIO
				}
				return 0
			})
			_, err := Verify(context.Background(), media[0], tr, nil, media[1:]...)
			wantPart(t, err, bad)
			m.Fail(func(c medium.Call) syscall.Errno {
				if c.Op == medium.Read && c.Name == "app.bundle.tar.002" && c.Offset+c.Size > first {
					return syscall.EIO
				}
				return 0
			})
			priv := startRegistry(t)
			o := onto(priv, tr)
			o.OutputDir, o.More = t.TempDir(), media[1:]
			_, err = Import(context.Background(), media[0], o)
			wantPart(t, err, bad)
			if n := priv.Log.Count("PUT", regtest.Upload); n < 4 {
				t.Errorf("%d blobs were pushed: what can be read goes on", n)
			}
			lacks(t, priv, "apps/acme/appa:1")
			m.Fail(func(medium.Call) syscall.Errno { return 0 })
			mustImport(t, media[0], o)
			sameContent(t, priv, whole, tr)
		})
	}
}

// wantPart requires an error that names part 2, its file and an image, and is no
// damage: another drive may read it.
func wantPart(t *testing.T, err error, dir string) {
	t.Helper()
	if err == nil || !errors.Is(err, syscall.EIO) || fault.KindOf(err) == fault.Damaged {
		t.Fatalf("kind %v: %v", fault.KindOf(err), err)
	}
	for _, want := range []string{"part 2", filepath.Join(dir, "app.bundle.tar.002"), "acme/app"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("it does not say %q: %v", want, err)
		}
	}
}

// A told reporter keeps the lines that people have to read.
type toldReporter struct {
	progress.Reporter
	lines []string
}

func (r *toldReporter) Tell(line string) { r.lines = append(r.lines, line) }

// Where a medium has no room for two bundles, the old one goes first, which is said
// before; where even that is not enough, nothing goes.
func TestReplaceWithoutRoom(t *testing.T) {
	pub := startRegistry(t)
	for i, size := range []int64{1_500_000, 1_600_000, 9_000_000} {
		pushImage(t, pub, fmt.Sprintf("acme/app:%d", i), regtest.Image{Layers: []regtest.Layer{{Size: size, Seed: int64(10 + i)}}})
	}
	dir := onTmpfs(t, "size=4600k")
	said := &toldReporter{Reporter: progress.OrSilent(nil)}
	export := func(tag int) (*reports.Export, error) {
		signer, _ := newKey(t)
		return Export(t.Context(), ExportOptions{
			Images: []string{fmt.Sprintf("docker.io/acme/app:%d", tag)}, Registry: through(pub), Signer: signer, Output: "app.tar",
			Set: &SetOptions{Folders: []string{dir}, Size: PartSize{Bytes: 900_000}}, Force: true, Progress: said,
		})
	}
	if _, err := export(0); err != nil {
		t.Fatal(err)
	}
	old := regtest.Files(t, dir)
	var space *layout.SpaceError
	if _, err := export(2); !errors.As(err, &space) || len(said.lines) > 0 {
		t.Errorf("error is %v, want a SpaceError, and nothing said: %q", err, said.lines)
	}
	regtest.WantFiles(t, dir, old...)
	r, err := export(1)
	if err != nil {
		t.Fatal(err)
	}
	if len(said.lines) != 1 || !strings.Contains(said.lines[0], "no room for the new bundle beside the old one") {
		t.Errorf("said %q", said.lines)
	}
	if len(r.Removed) != len(old) {
		t.Errorf("removed %q, and there was %q", r.Removed, old)
	}
	if _, err := Verify(t.Context(), dir, trust.TrustAnyone(), nil); err != nil {
		t.Error(err)
	}
}
