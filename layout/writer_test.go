package layout_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bundle/layout"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
)

func TestWriteThenRead(t *testing.T) {
	s := newSample(t, 0, 1, 511, 512, 513, 100_000)
	folder := t.TempDir()
	path := filepath.Join(folder, "a.bundle")
	w := create(t, path, s.plan(t))
	wantFiles(t, folder, "a.bundle.partial")
	for d, data := range s.late {
		if err := writeBlob(w, d, data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, folder, "a.bundle")
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, s.bytes(t)) {
		t.Error("Writer and Stream give different bytes")
	}
	r := mustReader(t, got)
	for name, want := range s.all {
		data, err := readAll(r, name, digest.FromBytes(want))
		if err != nil || !bytes.Equal(data, want) {
			t.Errorf("entry %s: wrong content (%v)", name, err)
		}
	}
}

// Many blobs at the same time, in pieces, in any order, give the one file that
// the plan describes.
func TestWriteConcurrently(t *testing.T) {
	sizes := make([]int, 64)
	for i := range sizes {
		sizes[i] = i * 997
	}
	s := newSample(t, sizes...)
	path := filepath.Join(t.TempDir(), "a.bundle")
	w := create(t, path, s.plan(t))
	var group errgroup.Group
	group.SetLimit(8)
	for d, data := range s.late {
		group.Go(func() error {
			b, err := w.Blob(d)
			if err != nil {
				return err
			}
			rest := data
			for len(rest) > 0 {
				n := 1 + rand.IntN(len(rest))
				if _, err := b.Write(rest[:n]); err != nil {
					return err
				}
				rest = rest[n:]
			}
			return b.Close()
		})
	}
	if err := errors.Join(group.Wait(), w.Commit()); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, s.bytes(t)) {
		t.Error("not the bytes of the plan")
	}
}

func TestWrongContent(t *testing.T) {
	right := pseudo(0, 1000)
	wrong := bytes.Clone(right)
	wrong[999] ^= 1
	tests := []struct {
		name  string
		write []byte
		want  string
	}{
		{"short", right[:999], "ends after 999 of 1000 bytes"},
		{"empty", nil, "ends after 0 of 1000 bytes"},
		{"long", append(bytes.Clone(right), 0), "longer than 1000 bytes"},
		{"other digest", wrong, "content has the digest"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSample(t, 1000)
			folder := t.TempDir()
			w := create(t, filepath.Join(folder, "a.bundle"), s.plan(t))
			d := digest.FromBytes(right)
			err := writeBlob(w, d, tt.write)
			wantContentError(t, err, layout.BlobName(d), tt.want)
			if err := w.Commit(); err == nil || !strings.Contains(err.Error(), d.String()) {
				t.Errorf("Commit: %v, want an error that names %s", err, d)
			}
			wantFiles(t, folder)
			var stream bytes.Buffer
			err = layout.Stream(&stream, s.plan(t), func(digest.Digest) (io.ReadCloser, error) {
				return io.NopCloser(bytes.NewReader(tt.write)), nil
			})
			wantContentError(t, err, layout.BlobName(d), tt.want)
		})
	}
}

func wantContentError(t *testing.T, err error, subject, want string) {
	t.Helper()
	var content *layout.ContentError
	if !errors.As(err, &content) || content.Subject != subject || !strings.Contains(content.Error(), want) {
		t.Errorf("got %v, want %s: %s", err, subject, want)
	}
}

// A blob that failed may be written again, and the result is right.
func TestBlobAgain(t *testing.T) {
	s := newSample(t, 1000)
	d, data := digest.FromBytes(pseudo(0, 1000)), pseudo(0, 1000)
	path := filepath.Join(t.TempDir(), "a.bundle")
	w := create(t, path, s.plan(t))
	if err := writeBlob(w, d, pseudo(7, 1000)); err == nil {
		t.Fatal("wrong content was taken")
	}
	if err := errors.Join(writeBlob(w, d, data), w.Commit()); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, s.bytes(t)) {
		t.Errorf("not the bytes of the plan (%v)", err)
	}
}

func TestBlobErrorsStay(t *testing.T) {
	s := newSample(t, 10)
	w := create(t, filepath.Join(t.TempDir(), "a.bundle"), s.plan(t))
	b, err := w.Blob(digest.FromBytes(pseudo(0, 10)))
	if err != nil {
		t.Fatal(err)
	}
	_, first := b.Write(make([]byte, 11))
	if first == nil {
		t.Fatal("a write beyond the size succeeded")
	}
	if _, err := b.Write(nil); err != first {
		t.Errorf("second write: %v, want %v", err, first)
	}
	for range 2 {
		if err := b.Close(); err != first {
			t.Errorf("close: %v, want %v", err, first)
		}
	}
	if _, err := b.Write(nil); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("write after close: %v, want fs.ErrClosed", err)
	}
}

func TestBlobRefuses(t *testing.T) {
	s := newSample(t, 10, 20)
	a, b := digest.FromBytes(pseudo(0, 10)), digest.FromBytes(pseudo(1, 20))
	w := create(t, filepath.Join(t.TempDir(), "a.bundle"), s.plan(t))
	if err := writeBlob(w, a, pseudo(0, 10)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Blob(b); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		d    digest.Digest
		want string
	}{
		{"done", a, "written already"},
		{"open", b, "being written already"},
		{"known", s.root.Digest, "no such blob"},
		{"unknown", digest.FromString("x"), "no such blob"},
		{"no digest", "x", "no such blob"},
	}
	for _, tt := range tests {
		if _, err := w.Blob(tt.d); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestEndOfWriter(t *testing.T) {
	s := newSample(t)
	folder := t.TempDir()
	path := filepath.Join(folder, "a.bundle")
	w := create(t, path, s.plan(t))
	if err := errors.Join(w.Commit(), w.Close()); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, folder, "a.bundle")
	if err := w.Commit(); err == nil {
		t.Error("second Commit succeeded")
	}
	w = create(t, path, s.plan(t))
	if err := errors.Join(w.Close(), w.Close()); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err == nil {
		t.Error("Commit after Close succeeded")
	}
	if _, err := w.Blob(digest.FromString("x")); err == nil {
		t.Error("Blob after Close succeeded")
	}
	wantFiles(t, folder, "a.bundle")
}

// Until Commit, and for ever if the run fails, a file that was there before
// stays as it was.
func TestExistingFileStays(t *testing.T) {
	s := newSample(t, 10)
	folder := t.TempDir()
	path := filepath.Join(folder, "a.bundle")
	before := newSample(t, 20).bytes(t)
	if err := os.WriteFile(path, before, 0o600); err != nil {
		t.Fatal(err)
	}
	w := create(t, path, s.plan(t))
	if err := w.Commit(); err == nil {
		t.Fatal("Commit without the blob succeeded")
	}
	wantFiles(t, folder, "a.bundle")
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, before) {
		t.Fatalf("file has %d bytes (%v)", len(got), err)
	}
	w = create(t, path, s.plan(t))
	if err := errors.Join(writeBlob(w, digest.FromBytes(pseudo(0, 10)), pseudo(0, 10)), w.Commit()); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, s.bytes(t)) {
		t.Errorf("file was not replaced (%v)", err)
	}
}

// What is no bundle is not replaced by one.
func TestNoBundleStays(t *testing.T) {
	whole := newSample(t, 10).bytes(t)
	header := bytes.Repeat([]byte{0}, 600)
	copy(header, "oci-layout")
	for _, tc := range []struct {
		name    string
		content []byte
		taken   bool
	}{
		{"empty", nil, true},
		{"bundle", whole, true},
		{"bundle that was cut off", whole[:700], true},
		{"key", []byte("-----BEGIN OPENSSH PRIVATE KEY-----\n"), false},
		{"one byte", []byte{0}, false},
		{"other tar", bytes.Replace(whole, []byte("oci-layout"), []byte("index.json"), 1), false},
		{"longer name", bytes.Replace(whole, []byte("oci-layout\x00"), []byte("oci-layouts"), 1), false},
		{"the name alone", header, false},
		{"begin of a header", whole[:100], false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			folder := t.TempDir()
			path := filepath.Join(folder, "a.bundle")
			if err := os.WriteFile(path, tc.content, 0o600); err != nil {
				t.Fatal(err)
			}
			w, err := layout.Create(path, newSample(t, 10).plan(t))
			var occupied *layout.OccupiedError
			if tc.taken != (err == nil) || err != nil && !errors.As(err, &occupied) {
				t.Fatalf("got %v, want it taken: %v", err, tc.taken)
			}
			if err == nil {
				_ = w.Close()
			}
			wantFiles(t, folder, "a.bundle")
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, tc.content) {
				t.Errorf("it holds %d bytes now (%v)", len(got), err)
			}
			if (layout.CheckOutput(path) == nil) != tc.taken {
				t.Error("CheckOutput says something else")
			}
		})
	}
}

func TestCreateRefuses(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(folder, "x.partial"), 0o700); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, path, want string }{
		{"missing folder", filepath.Join(folder, "no", "a.bundle"), "folder of"},
		{"folder is a file", filepath.Join(file, "a.bundle"), "is not a folder"},
		{"is a folder", folder, "is a folder"},
		{"ends with a separator", folder + string(filepath.Separator), "names no file"},
		{"empty", "", "names no file"},
		{"device", os.DevNull, "not a regular file"},
		{"partial is a folder", filepath.Join(folder, "x"), "x.partial"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := layout.Create(tt.path, newSample(t).plan(t))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	wantFiles(t, folder, "file", "x.partial")
}

func TestStalePartialIsOverwritten(t *testing.T) {
	s := newSample(t)
	folder := t.TempDir()
	path := filepath.Join(folder, "a.bundle")
	if err := os.WriteFile(path+".partial", pseudo(1, 100_000), 0o600); err != nil {
		t.Fatal(err)
	}
	w := create(t, path, s.plan(t))
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, folder, "a.bundle")
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, s.bytes(t)) {
		t.Errorf("not the bytes of the plan (%v)", err)
	}
}

func TestTwoRuns(t *testing.T) {
	s := newSample(t)
	path := filepath.Join(t.TempDir(), "a.bundle")
	w := create(t, path, s.plan(t))
	if _, err := layout.Create(path, s.plan(t)); !errors.Is(err, layout.ErrInUse) {
		t.Fatalf("second run: %v, want ErrInUse", err)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
}

// Runs that begin while others end never leave anything but a whole bundle.
func TestManyRuns(t *testing.T) {
	s := newSample(t)
	folder := t.TempDir()
	path := filepath.Join(folder, "a.bundle")
	plan, want := s.plan(t), s.bytes(t)
	var group errgroup.Group
	for i := range 4 {
		group.Go(func() error {
			for range 20 {
				w, err := layout.Create(path, plan)
				if errors.Is(err, layout.ErrInUse) {
					continue
				}
				if err != nil {
					return err
				}
				if i == 0 {
					err = w.Close()
				} else {
					err = w.Commit()
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, folder, "a.bundle")
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("not the bytes of the plan (%v)", err)
	}
}

// failing fails after some bytes.
type failing struct{ left int }

var errFailing = errors.New("cable pulled")

func (f *failing) Write(p []byte) (int, error) {
	if len(p) > f.left {
		return 0, errFailing
	}
	f.left -= len(p)
	return len(p), nil
}

func TestStreamFails(t *testing.T) {
	s := newSample(t, 3000, 10)
	size := len(s.bytes(t))
	for _, n := range []int{0, 512, 600, 5000, size - 1024, size - 1} {
		if err := layout.Stream(&failing{n}, s.plan(t), s.open); !errors.Is(err, errFailing) {
			t.Errorf("after %d bytes: %v, want %v", n, err, errFailing)
		}
	}
	err := layout.Stream(io.Discard, s.plan(t), func(digest.Digest) (io.ReadCloser, error) { return nil, errFailing })
	if !errors.Is(err, errFailing) {
		t.Errorf("open: %v, want %v", err, errFailing)
	}
}
