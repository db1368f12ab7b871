package layout

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// planOf lays out a bundle with one blob of a size.
func planOf(t *testing.T, size int64) (*Plan, digest.Digest) {
	t.Helper()
	d := digest.FromString("blob")
	p, err := NewPlan([]File{
		{LayoutFile, int64(len(LayoutContent())), LayoutContent()},
		{SumsFile, 0, []byte{}},
		{IndexFile, 0, []byte{}},
		{BlobName(d), size, nil},
	}, time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	return p, d
}

func wantEmpty(t *testing.T, folder string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) > 0 {
		t.Errorf("folder holds %v (%v)", entries, err)
	}
}

func TestTooLittleSpace(t *testing.T) {
	folder := t.TempDir()
	p, _ := planOf(t, 1<<60)
	_, err := Create(filepath.Join(folder, "a.bundle"), p)
	var space *SpaceError
	if !errors.As(err, &space) || space.Needed != p.Size() || space.Available <= 0 {
		t.Errorf("got %v, want a SpaceError that needs %d bytes", err, p.Size())
	}
	wantEmpty(t, folder)
}

// The disk fills up while a blob is being written, as it can where room cannot
// be reserved.
func TestDiskFullWhileWriting(t *testing.T) {
	p, d := planOf(t, 4)
	path := filepath.Join(t.TempDir(), "a.bundle")
	w, err := Create(path, p)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	reserved := w.file
	w.file = full
	b, err := w.Blob(d)
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Write([]byte("blob"))
	if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), BlobName(d)) {
		t.Errorf("write: %v, want ENOSPC with the entry's name", err)
	}
	if again := b.Close(); again != err {
		t.Errorf("close: %v, want %v", again, err)
	}
	w.file = reserved
	if err := w.Commit(); err == nil {
		t.Error("Commit succeeded")
	}
	wantEmpty(t, filepath.Dir(path))
}

// TestSmallDisk meets the limit on a real, small file system. Where none may
// be mounted, TestFileSizeLimit and the two above are what is left.
func TestSmallDisk(t *testing.T) {
	folder := t.TempDir()
	if err := unix.Mount("tmpfs", folder, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("cannot mount a tmpfs: %v", err)
	}
	defer func() {
		if err := unix.Unmount(folder, 0); err != nil {
			t.Error(err)
		}
	}()
	p, _ := planOf(t, 2<<20)
	_, err := Create(filepath.Join(folder, "a.bundle"), p)
	var space *SpaceError
	if !errors.As(err, &space) || space.Available > 1<<20 {
		t.Errorf("got %v, want a SpaceError", err)
	}
	wantEmpty(t, folder)
	p, _ = planOf(t, 512<<10)
	w, err := Create(filepath.Join(folder, "a.bundle"), p)
	if err != nil {
		t.Fatal(err)
	}
	// The room is taken before the blob: nobody else can have it.
	if err := os.WriteFile(filepath.Join(folder, "other"), make([]byte, 1<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("room was not reserved: %v", err)
	}
	if err := errors.Join(w.Close(), os.Remove(filepath.Join(folder, "other"))); err != nil {
		t.Error(err)
	}
	wantEmpty(t, folder)
}

// A link that somebody put where the partial file goes is not followed.
func TestPartialLinkIsNotFollowed(t *testing.T) {
	folder := t.TempDir()
	victim := filepath.Join(folder, "victim")
	path := filepath.Join(folder, "a.bundle")
	if err := errors.Join(os.WriteFile(victim, []byte("precious"), 0o600), os.Symlink(victim, path+".partial")); err != nil {
		t.Fatal(err)
	}
	p, _ := planOf(t, 4)
	if _, err := Create(path, p); !errors.Is(err, unix.ELOOP) {
		t.Errorf("got %v, want ELOOP", err)
	}
	if got, err := os.ReadFile(victim); err != nil || string(got) != "precious" {
		t.Errorf("the file behind the link is %q (%v)", got, err)
	}
}

const limitedFolder = "LAYOUT_TEST_LIMITED_FOLDER"

// TestFileSizeLimit needs no privilege. It runs itself in a process of its own:
// the limit cannot be taken back.
func TestFileSizeLimit(t *testing.T) {
	if folder := os.Getenv(limitedFolder); folder != "" {
		createLimited(t, folder)
		return
	}
	folder := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestFileSizeLimit$", "-test.v")
	cmd.Env = append(os.Environ(), limitedFolder+"="+folder)
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "refused: ") {
		t.Errorf("limited process: %v\n%s", err, out)
	}
	wantEmpty(t, folder)
}

func createLimited(t *testing.T, folder string) {
	limit := unix.Rlimit{Cur: 1 << 20, Max: 1 << 20}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	p, _ := planOf(t, 2<<20)
	_, err := Create(filepath.Join(folder, "a.bundle"), p)
	if !errors.Is(err, unix.EFBIG) {
		t.Fatalf("got %v, want EFBIG", err)
	}
	t.Log("refused: ", err)
}

// What stands where the partial file would, and is none, is not waited for and
// not written through.
func TestPartialThatIsNone(t *testing.T) {
	for name, put := range map[string]func(path, outside string) error{
		"pipe":   func(path, _ string) error { return unix.Mkfifo(path, 0o666) },
		"link":   func(path, outside string) error { return os.Symlink(outside, path) },
		"folder": func(path, _ string) error { return os.Mkdir(path, 0o777) },
	} {
		t.Run(name, func(t *testing.T) {
			dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "precious")
			path := filepath.Join(dir, "x.tar")
			if err := errors.Join(os.WriteFile(outside, []byte("precious"), 0o666), put(path+partialSuffix, outside)); err != nil {
				t.Fatal(err)
			}
			if _, _, err := OpenPartial(path); err == nil || !strings.Contains(err.Error(), "not a regular file") {
				t.Errorf("read: %v", err)
			}
			p, _ := planOf(t, 100)
			if w, err := Create(path, p); err == nil {
				t.Error("written")
				_ = w.Close()
			}
			if b, err := os.ReadFile(outside); err != nil || string(b) != "precious" {
				t.Errorf("%q, %v", b, err)
			}
		})
	}
}

// Space that is reserved again, as by a run that goes on, does not count as written.
func TestReservedAgain(t *testing.T) {
	const size, wrote = 4 << 20, 1 << 20
	dirs := []string{t.TempDir()}
	if dir, err := os.MkdirTemp("/dev/shm", ""); err == nil { // a tmpfs, which is particular
		t.Cleanup(func() { os.RemoveAll(dir) })
		dirs = append(dirs, dir)
	}
	for _, dir := range dirs {
		f, err := os.Create(filepath.Join(dir, "a"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := allocate(f, size); errors.Is(err, errInOrder) {
			continue // nobody asks what is written there
		} else if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(bytes.Repeat([]byte{1}, wrote), 0); err != nil {
			t.Fatal(err)
		}
		if err := allocate(f, size); err != nil {
			t.Fatal(err)
		}
		if from, to := nextData(f, 0, size); from != 0 || to != wrote {
			t.Errorf("%s: data from %d to %d, want from 0 to %d", dir, from, to, wrote)
		}
	}
}

// What was reserved for the inside of a blob, and read by somebody since, is not taken
// for what a run wrote that was killed.
func TestSliceReadIsNotWritten(t *testing.T) {
	const size = 600 << 10
	path := filepath.Join(t.TempDir(), "a.bundle.002")
	f, err := os.Create(path + partialSuffix)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := allocate(f, size); err != nil {
		t.Skipf("no blocks can be reserved here: %v", err)
	}
	if _, err := io.Copy(io.Discard, f); err != nil {
		t.Fatal(err)
	}
	if from, _ := nextData(f, 0, size); from > 0 {
		t.Skip("this file system does not call data what was read")
	}
	if forgetRead(f); func() int64 { from, _ := nextData(f, 0, size); return from }() == 0 {
		t.Skip("this file system keeps what was read")
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, f); err != nil {
		t.Fatal(err)
	}
	p, _ := planOf(t, 1<<20)
	w, err := CreateSlice(path, p, Range{200 << 10, 200<<10 + size}, false)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if w.resumed > 0 {
		t.Errorf("%d bytes count as written, and none were", w.resumed)
	}
}
