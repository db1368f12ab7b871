package layout_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"bundle/layout"

	"bundle/testdata/judge"
	"github.com/opencontainers/go-digest"
)

func TestReader(t *testing.T) {
	s := newSample(t, 0, 600)
	r := mustReader(t, s.bytes(t))
	if got, want := r.Entries(), s.plan(t).Entries(); !slices.Equal(got, want) {
		t.Errorf("entries %v, want %v", got, want)
	}
	if want := s.plan(t).ModTime(); !r.ModTime().Equal(want) {
		t.Errorf("time %v, want %v", r.ModTime(), want)
	}
	for _, e := range s.plan(t).Entries() {
		if got, ok := r.Entry(e.Name); !ok || got != e {
			t.Errorf("Entry(%s) = %v, %v", e.Name, got, ok)
		}
		data, err := r.ReadFile(e.Name, e.Size)
		if err != nil || !bytes.Equal(data, s.all[e.Name]) {
			t.Errorf("ReadFile(%s): wrong content (%v)", e.Name, err)
		}
	}
	for d, want := range s.late {
		data, err := r.ReadBlob(d, 600)
		if err != nil || !bytes.Equal(data, want) {
			t.Errorf("ReadBlob(%s): wrong content (%v)", d, err)
		}
	}
}

func TestMissingEntry(t *testing.T) {
	s := newSample(t)
	s.files = slices.Delete(s.files, 2, 3)
	r := mustReader(t, s.bytes(t))
	for _, name := range []string{layout.SignatureFile, layout.BlobName(digest.FromString("x")), "", "blobs", "../x"} {
		if e, ok := r.Entry(name); ok {
			t.Errorf("Entry(%q) = %v", name, e)
		}
		_, err := r.OpenFile(name, digest.FromString("x"))
		_, err2 := r.ReadFile(name, 10)
		if !errors.Is(err, fs.ErrNotExist) || !errors.Is(err2, fs.ErrNotExist) {
			t.Errorf("%q: %v and %v, want fs.ErrNotExist", name, err, err2)
		}
	}
	for _, hostile := range []digest.Digest{"", "x", "sha256:", "sha256:../../oci-layout", digest.FromString("x")} {
		if _, err := r.OpenBlob(hostile); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("OpenBlob(%q): %v, want fs.ErrNotExist", hostile, err)
		}
	}
}

func TestReadFileLimit(t *testing.T) {
	r := mustReader(t, newSample(t).bytes(t))
	_, err := r.ReadFile(layout.SumsFile, 4)
	wantFormatError(t, err, layout.SumsFile, "5 bytes are more than the 4 allowed")
}

func wantFormatError(t testing.TB, err error, entry, want string) {
	t.Helper()
	var format *layout.FormatError
	if !errors.As(err, &format) || format.Entry != entry || !strings.Contains(format.Error(), want) {
		t.Errorf("got %v, want entry %q: %s", err, entry, want)
	}
}

// The reader gives the error of wrong content to every kind of caller, and
// nobody gets the whole of it.
func TestWrongBlobIsWithheld(t *testing.T) {
	s := newSample(t, 600)
	data := s.bytes(t)
	e := s.plan(t).Entries()[6]
	d, _ := layout.BlobDigest(e.Name)
	data[e.Offset] ^= 1
	r := mustReader(t, data)
	ways := map[string]func(io.Reader) (int64, error){
		"to the end": func(src io.Reader) (int64, error) { return io.Copy(io.Discard, src) },
		"exact copy": func(src io.Reader) (int64, error) { return io.CopyN(io.Discard, src, e.Size) },
		"exact read": func(src io.Reader) (int64, error) {
			n, err := io.ReadFull(src, make([]byte, e.Size))
			return int64(n), err
		},
		"one by one": func(src io.Reader) (int64, error) { return io.Copy(io.Discard, iotest.OneByteReader(src)) },
	}
	for name, read := range ways {
		t.Run(name, func(t *testing.T) {
			rc, err := r.OpenBlob(d)
			if err != nil {
				t.Fatal(err)
			}
			defer rc.Close()
			n, err := read(rc)
			wantFormatError(t, err, e.Name, "content has the digest")
			if n >= e.Size {
				t.Errorf("all %d bytes were passed on", n)
			}
			if n, again := rc.Read(make([]byte, 1)); n != 0 || again != err {
				t.Errorf("next read: %d, %v; the error does not stay", n, again)
			}
		})
	}
	_, err := r.ReadBlob(d, e.Size)
	wantFormatError(t, err, e.Name, "content has the digest")
}

func TestVerifyingReaderIsAReader(t *testing.T) {
	s := newSample(t, 0, 5000)
	r := mustReader(t, s.bytes(t))
	for d, want := range s.late {
		rc, err := r.OpenBlob(d)
		if err != nil {
			t.Fatal(err)
		}
		if err := iotest.TestReader(rc, want); err != nil {
			t.Error(err)
		}
	}
}

// A medium that cannot be read is not a damaged bundle.
func TestMediaError(t *testing.T) {
	s := newSample(t, 600)
	data := s.bytes(t)
	e := s.plan(t).Entries()[6]
	d, _ := layout.BlobDigest(e.Name)
	bad := &badMedium{ReaderAt: bytes.NewReader(data), from: e.Offset + 100, to: e.Offset + 200}
	r, err := layout.NewReader(bad, int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	_, err = readAll(r, e.Name, d)
	wantMediaError(t, err, e.Name)
	_, err = r.ReadFile(e.Name, e.Size)
	wantMediaError(t, err, e.Name)
	bad.from, bad.to = e.Offset-512, e.Offset
	_, err = layout.NewReader(bad, int64(len(data)))
	wantMediaError(t, err, "")
}

func wantMediaError(t *testing.T, err error, entry string) {
	t.Helper()
	var format *layout.FormatError
	var unread *layout.ReadError
	if !errors.Is(err, errMedium) || errors.As(err, &format) || !errors.As(err, &unread) || !strings.Contains(err.Error(), entry) {
		t.Errorf("got %v, want %v with the entry %s", err, errMedium, entry)
	}
}

var errMedium = errors.New("medium error")

// badMedium cannot read a range of bytes.
type badMedium struct {
	io.ReaderAt
	from, to int64
}

func (b *badMedium) ReadAt(p []byte, offset int64) (int, error) {
	if offset < b.to && offset+int64(len(p)) > b.from {
		return 0, errMedium
	}
	return b.ReaderAt.ReadAt(p, offset)
}

// A file that is shorter than its size was when it was opened.
func TestFileShrinks(t *testing.T) {
	s := newSample(t, 600)
	data := s.bytes(t)
	e := s.plan(t).Entries()[6]
	d, _ := layout.BlobDigest(e.Name)
	file := &shrinking{data: data}
	r, err := layout.NewReader(file, int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	file.data = data[:e.Offset+100]
	_, err = readAll(r, e.Name, d)
	wantFormatError(t, err, e.Name, "ends after 100 of 600 bytes")
	_, err = r.ReadFile(e.Name, e.Size)
	wantFormatError(t, err, e.Name, "truncated")
	_, err = layout.NewReader(file, int64(len(data)))
	wantFormatError(t, err, e.Name, "truncated")
}

type shrinking struct{ data []byte }

func (s *shrinking) ReadAt(p []byte, offset int64) (int, error) {
	return bytes.NewReader(s.data).ReadAt(p, offset)
}

// Other tar readers see what we see.
func TestOtherTarReaders(t *testing.T) {
	s := newSample(t, 0, 1, 512, 70_000)
	data := s.bytes(t)
	tr := tar.NewReader(bytes.NewReader(data))
	for _, e := range s.plan(t).Entries() {
		h, err := tr.Next()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(tr)
		if err != nil || !bytes.Equal(content, s.all[e.Name]) {
			t.Errorf("%s: wrong content (%v)", e.Name, err)
		}
		if h.Name != e.Name || h.Mode != 0o644 || h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.Gname != "" ||
			h.Typeflag != tar.TypeReg || h.Format != tar.FormatUSTAR || !h.ModTime.Equal(testTime.Truncate(time.Second)) {
			t.Errorf("header %+v", h)
		}
	}
	if _, err := tr.Next(); err != io.EOF {
		t.Errorf("after the last entry: %v, want EOF", err)
	}
	path := filepath.Join(t.TempDir(), "a.bundle")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	wantTarList(t, path, s.plan(t).Entries())
}

// wantTarList compares with what tar(1) lists. GNU tar, bsdtar and busybox have
// the size in different columns: the name and the size only have to be there.
func wantTarList(t *testing.T, path string, want []layout.Entry) {
	t.Helper()
	out, err := exec.Command(judge.Path(t, "tar"), "tvf", path).CombinedOutput()
	if err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != len(want) {
		t.Fatalf("tar lists %d entries, want %d:\n%s", len(lines), len(want), out)
	}
	for i, e := range want {
		words := strings.Fields(lines[i])
		if words[len(words)-1] != e.Name || !slices.Contains(words, strconv.FormatInt(e.Size, 10)) {
			t.Errorf("tar lists %q, want %s with %d bytes", lines[i], e.Name, e.Size)
		}
	}
}
